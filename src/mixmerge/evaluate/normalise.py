"""What predictions and references go through before any summary metric (PROTOCOL, Evaluation)."""

import html
import re

_THINK = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)
# The template opens the block for some models, so that only its end is in the completion.
_THOUGHT_BEFORE = re.compile(r"\A.*</think>", re.DOTALL | re.IGNORECASE)
# A fence's marker goes with its language; what it encloses stays, for it may be all there is.
_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[ \t]*[\w+#.-]*[ \t]*$", re.MULTILINE)
_INLINE_FENCE = re.compile(r"`{3,}")
_TRIPLE_QUOTES = re.compile(r"\b[rRuUbB]{0,2}(?:\"\"\"|''')|(?:\"\"\"|''')")
_LINE_MARKER = re.compile(
    r"^[ \t]*(?:/\*+|\*+/|\*+(?=\s|$)|//+!?|#+!?(?=\s|$)|--(?=\s))", re.MULTILINE
)
_BLOCK_EDGE = re.compile(r"/\*+|\*+/")
_INLINE_TAG = re.compile(r"\{@\w+\s*([^{}]*)\}")
_BLOCK_TAG = re.compile(
    r"(?<![\w.])@(?:param|returns?|throws|exception|see|since|deprecated|author|version|serial\w*"
    r"|inheritDoc|code|link|linkplain|literal|value|apiNote|implNote|implSpec|hidden|category)\b"
)
# Only names of HTML elements: `a < b > c` and `List<String>` are text.
_ELEMENTS = (
    "a|abbr|b|big|blockquote|br|caption|center|cite|code|dd|del|div|dl|dt|em|font|h[1-6]|hr|i|img"
    "|ins|kbd|li|ol|p|pre|q|s|samp|small|span|strike|strong|sub|sup|table|tbody|td|tfoot|th|thead"
    "|tr|tt|u|ul|var"
)
_HTML_TAG = re.compile(rf"</?(?:{_ELEMENTS})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_WHITE_SPACE = re.compile(r"\s+")


def normalise(text: str) -> str:
    """Normalise a prediction or a reference; a text of markers alone becomes empty.

    In PROTOCOL's order: HTML entities are unescaped; ``<think>`` blocks go with their content;
    markers of code fences, triple quotes and comments go and leave theirs; HTML tags and javadoc
    tags go (``{@code x}`` leaves ``x``); white space collapses; one last full stop is stripped.
    """
    text = html.unescape(text).replace("\r\n", "\n").replace("\r", "\n")
    text = _THINK.sub(" ", text)
    text = _THOUGHT_BEFORE.sub(" ", text)
    text = _FENCE.sub(" ", text)
    text = _INLINE_FENCE.sub(" ", text)
    text = _TRIPLE_QUOTES.sub(" ", text)
    text = _LINE_MARKER.sub(" ", text)
    text = _BLOCK_EDGE.sub(" ", text)
    text = _INLINE_TAG.sub(r"\1", text)
    text = _BLOCK_TAG.sub(" ", text)
    text = _HTML_TAG.sub(" ", text)
    text = _WHITE_SPACE.sub(" ", text).strip()
    return text.removesuffix(".").rstrip()
