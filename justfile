# What CI runs, by name. `just check` is the whole of the static side.

# fmt, clippy, docs, licences, walls and sizes
check: fmt clippy docs deny tidy planted

fmt:
    cargo fmt --all --check

clippy:
    cargo clippy --workspace --all-targets -- -D warnings

docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

deny:
    cargo fetch --locked
    cargo deny --offline check bans licenses sources

tidy:
    cargo test -p server --test tidy

# The planted mistakes still fit the tree
planted:
    for patch in sim/planted/*.patch; do git apply --check $patch || exit 1; done

# The tests that need nothing but Rust
test:
    cargo test

# Against real etcd, in the same run; see conformance/README.md
conformance:
    conformance/run.sh

# Meridian and etcd side by side; see bench/README.md
bench:
    bench/run.sh

# The whole server under simulation: `just sim 10000`, `just sim --only 7 --trace`; see docs/sim.md
sim *arguments='100':
    cd sim && cargo run -q -- {{arguments}}
