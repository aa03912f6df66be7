# Sourced with a folder's path: nothing that runs after it looks at, or writes to, the AWS account and the caches of whoever
# runs it. What tools keep is in that folder.
unset AWS_PROFILE AWS_ENDPOINT_URL AWS_SESSION_TOKEN
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
export PYTHONPYCACHEPREFIX="$1/pycache"
export SAM_CLI_TELEMETRY=0 __SAM_CLI_APP_DIR="$1/sam"
export CARGO_ZIGBUILD_CACHE_DIR="$1/zig"
export ZIG_GLOBAL_CACHE_DIR="$CARGO_ZIGBUILD_CACHE_DIR" ZIG_LOCAL_CACHE_DIR="$CARGO_ZIGBUILD_CACHE_DIR"
