#!/usr/bin/env bash
# TRL 1.16.0: SFTTrainer's fused output layer trains some models on a loss that is not theirs.
#
# Expected: the loss that SFTTrainer minimises is that of the model's own logits.
# Seen: `add_fused_lm_head`, which every SFTTrainer puts on its model, multiplies the backbone's
# last hidden states by the output layer's weight itself, and knows of soft caps and scales by a few
# names in the config. What else a model does between backbone and logits is skipped without a word:
# ModernBERT's decoder has a dense layer, an activation and a norm there, RecurrentGemma calls its
# soft cap `logits_soft_cap`. Their log-probabilities are off by tenths of a nat to nats a token, and
# training adapts backbone and output layer to each other without what stands between them.
# (Llama 4's text model ends in an AttributeError, for its base is the language model itself.)
#
# Needs Python 3.11 or newer and a package index. Exit code 0 while it behaves so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  torch==2.13.0 transformers==5.23.0 trl==1.16.0
"$folder/venv/bin/python" - <<'PYTHON'
import torch
import transformers
import trl
from transformers import AutoConfig, AutoModelForCausalLM
from trl.trainer.utils import add_fused_lm_head

print(f"trl {trl.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
SIZES = dict(vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=3)
SIZES |= dict(num_attention_heads=4, pad_token_id=0, bos_token_id=1, eos_token_id=2)
MORE = {
    "llama": {},
    "modernbert-decoder": dict(cls_token_id=1, sep_token_id=2),
    "recurrent_gemma": dict(lru_width=32, attention_window_size=16, num_key_value_heads=1),
}
ids = torch.randint(3, 96, (1, 24), generator=torch.Generator().manual_seed(0))
gaps = {}
for kind, more in MORE.items():
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **SIZES, **more)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "embed" in name:  # as large as training makes them
                weight.mul_(20)
        own = model(input_ids=ids, use_cache=False).logits[0, :-1].log_softmax(-1)
        own = own.gather(1, ids[0, 1:, None])[:, 0]
        add_fused_lm_head(model)
        fused = model(input_ids=ids, labels=ids, fused_lm_head=True).log_probs[0]
    gaps[kind] = (own - fused).abs().mean().item()
    print(f"{kind}: log-probabilities differ by {gaps[kind]:.1e} nats a token")
assert gaps.pop("llama") < 1e-4
assert min(gaps.values()) > 0.01, "mended: the fused layer computes the model's own logits"
PYTHON
