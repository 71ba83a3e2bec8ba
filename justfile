# The commands of this repository. `uv run just` needs nothing installed but uv; plain `just` works as well.

set positional-arguments

# `uv run` tells its children where uv is: it need not be on the PATH (`python -m uv run just …`).
uv := quote(env("UV", "uv"))

# Pyright comes whole from its wheel; without this it asks PyPI at each run whether there is a newer one.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := "1"

[private]
default:
    @'{{ just_executable() }}' --list --unsorted

# Start the platform on embedded servers (--data DIR, --port N, …); Ctrl-C stops it
[no-exit-message]
up *args:
    @exec {{ uv }} run eu-platform up "$@"

# Run the whole pipeline once, print the report and leave
[no-exit-message]
demo *args:
    @exec {{ uv }} run eu-platform demo "$@"

# Run the tests (-k NAME, a path, -x, … as pytest takes them)
[no-exit-message]
test *args:
    @exec {{ uv }} run pytest -n 2 --dist loadfile "$@"

# Run what CI checks: format, lint, types, architecture
check:
    {{ uv }} run ruff format --check
    {{ uv }} run ruff check
    {{ uv }} run mypy
    {{ uv }} run pyright --warnings
    {{ uv }} run lint-imports --no-logo
    {{ uv }} run pytest -q tests/architecture

# Run the benchmarks (a benchmark's name, --json FILE, …)
[no-exit-message]
bench *args:
    @exec {{ uv }} run python -m bench.run "$@"

# Write openapi.json anew; commit it with what changed the API
openapi:
    {{ uv }} run python -m web.openapi > openapi.json

# Lint openapi.json with Spectral, from a lock file of its own; Node.js comes with the development environment
api-lint:
    cd tools/openapi && {{ uv }} run python ../node.py npm ci --prefer-offline
    cd tools/openapi && {{ uv }} run python ../node.py npm run --silent lint

# Check what is in ops: rules, alerts, dashboards, log shipping, compose, manifests, Terraform; says what it skips and why
ops-check:
    {{ uv }} run pytest -q -n0 tests/ops
    {{ uv }} run python tools/ops_check.py

# Write Grafana's dashboards from ops/grafana/dashboards.py; commit them with what changed them
dashboards:
    {{ uv }} run python ops/grafana/dashboards.py

# Write the bill of materials of what production installs (CycloneDX 1.5) to sbom.json
sbom:
    {{ uv }} export --quiet --no-default-groups --locked --preview-features sbom-export --format cyclonedx1.5 --output-file sbom.json

# Send generated requests to a platform of its own for some seconds: no 5xx, every answer as documented
[no-exit-message]
api-fuzz seconds="50":
    @exec {{ uv }} run python -m tools.fuzz.run {{ seconds }}

# Generate the clients of sdk/ from openapi.json, and build their packages into dist/
sdk:
    {{ uv }} run --isolated --only-group sdk python sdk/python/generate.py
    {{ uv }} build --quiet --out-dir dist sdk/python
    cd sdk/typescript && {{ uv }} run python ../../tools/node.py npm ci --prefer-offline
    cd sdk/typescript && {{ uv }} run python ../../tools/node.py npm run --silent generate
    cd sdk/typescript && {{ uv }} run python ../../tools/node.py npm run --silent build
    cd sdk/typescript && {{ uv }} run python ../../tools/node.py npm pack --silent --pack-destination ../../dist

# Check the types of the clients that `just sdk` has generated, and of their tests
sdk-check:
    {{ uv }} run mypy sdk/python/src/eu_platform_client/*.py tests/sdk/*.py
    {{ uv }} run pyright --warnings --project sdk
    cd sdk/typescript && {{ uv }} run python ../../tools/node.py npm run --silent check

# Format the code and repair what the linter can
fmt *args:
    {{ uv }} run ruff format "$@"
    {{ uv }} run ruff check --fix "$@"
