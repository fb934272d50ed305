"""The names of the files of a release folder and of a published repository, each defined once."""

# The folder of a release, which its author keeps.
RELEASE_FILE = "release.yaml"
BASE_FILE = "base.json"
CALIBRATION_FILE = "calibration.json"
HISTORY_FILE = "HISTORY.md"
EVALUATION_FILE = "eval.parquet"
REFERENCE_FILE = "reference.safetensors"

# An adapter, as PEFT and this project save it.
ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG_FILE = "adapter_config.json"
SIDECAR_FILE = "nla_meta.yaml"
HEAD_FILE = "value_head.safetensors"
TOKENIZER_FILE = "tokenizer.json"
TRAINING_LOG_FILE = "training_log.jsonl"
TRAINING_DOCUMENTS_FILE = "training_documents.jsonl"
TRAINING_SHINGLES_FILE = "training_shingles.safetensors"
STACK_FOLDER = "adapters"  # the adapters that one was trained on top of

# evidence/
ROWS_FILE = "rows.jsonl"
VECTORS_FILE = "vectors.safetensors"
RUN_FILE = "run.json"
RUNS_FILE = "runs.jsonl"

# A repository has further files, which `render` and `push` write.
CARD_FILE = "README.md"
CALIBRATION_PAGE_FILE = "RELEASE_CALIBRATION.md"
COMPARISON_FILE = "comparison.json"
ROUND_TRIP_FILE = "examples/round_trip.py"
LICENCE_FILE = "LICENSE"
NOTICE_FILE = "NOTICE"
ADDENDA_FOLDER = "addenda"  # the superseded numbers of evidence updates
MANIFEST_FILE = "release.json"
SIGNATURE_FILE = "release.sigstore.json"  # over both release.json of a release
