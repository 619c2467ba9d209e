//! Links the addon against the engine that loads it.

fn main() {
    napi_build::setup();
}
