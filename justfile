# The gate, as continuous integration runs it.
check:
    bash .ci/run
# All tests.
test:
    cargo test --workspace
# Kernels on a GPU (or Mesa's software driver) against their twins.
parity:
    cargo test -p somata-validation --test parity
# Simulated recordings, floors for every score.
accuracy:
    cargo test --release -p somata-validation --test accuracy -- --nocapture
# Pages made from the code.
docs:
    cargo run --release -- params --markdown > docs/reference/parameters.md
    cargo run --release -- reference > docs/reference/command.md
# Kernel benches.
bench:
    cargo bench -p somata-benches
