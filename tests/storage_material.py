"""A real S3 server on loopback (moto's), which knows its keys and refuses all others."""

import json
from typing import Any
from urllib.request import Request, urlopen

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

BUCKET = "lab"


class Server:
    """The server, one user who may do everything on S3, and an empty bucket."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        iam = self._client("iam", "any", "any")
        iam.create_user(UserName="mixmerge")
        policy = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
        }
        iam.put_user_policy(UserName="mixmerge", PolicyName="s3", PolicyDocument=json.dumps(policy))
        keys = iam.create_access_key(UserName="mixmerge")["AccessKey"]
        self.key, self.secret = keys["AccessKeyId"], keys["SecretAccessKey"]
        # From here on, the server asks for a signature made with these keys.
        self._tell("reset-auth", b"0")
        self.s3 = self._client("s3", self.key, self.secret)
        self.s3.create_bucket(Bucket=BUCKET)

    def _tell(self, action: str, data: bytes = b"") -> None:
        """Ask moto itself for something; its state is one for the whole process."""
        url, head = f"{self.endpoint}/moto-api/{action}", {"Content-Type": "text/plain"}
        with urlopen(Request(url, data=data, headers=head, method="POST")):
            pass

    def _client(self, service: str, key: str, secret: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"max_attempts": 1}),
        )

    def settings(self) -> dict[str, str]:
        """What a user exports for Snakemake's S3 plugin."""
        return {
            "SNAKEMAKE_STORAGE_S3_ENDPOINT_URL": self.endpoint,
            "SNAKEMAKE_STORAGE_S3_ACCESS_KEY": self.key,
            "SNAKEMAKE_STORAGE_S3_SECRET_KEY": self.secret,
        }

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Key -> bytes of every object below a prefix."""
        found = {}
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        for page in pages:
            for entry in page.get("Contents", []):
                body = self.s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"]
                found[entry["Key"]] = body.read()
        return found

    def stop(self) -> None:
        """End the server; its objects are gone with it."""
        self._tell("reset-auth", b"inf")
        self._tell("reset")
        self._server.stop()
