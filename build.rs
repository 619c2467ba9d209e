//! Links the addon against the engine that loads it.

fn main() {
    napi_build::setup();
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "gnu") {
        // The unwinder comes along: one library less that has to be there, to be found and loaded.
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}
