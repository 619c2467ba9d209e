//! Checks that `lib/bridge/records.js` is what is printed from the table of records. `npm run
//! records` writes it.

#[path = "records_js/print.rs"]
mod print;

use std::fs;
use std::path::Path;

#[test]
fn records_js_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lib/bridge/records.js");
    let made = print::module();
    if std::env::var_os("WRITE_RECORDS").is_some() {
        fs::write(&file, &made).unwrap();
    }
    let is_fresh = fs::read_to_string(&file).is_ok_and(|text| text == made);
    assert!(is_fresh, "lib/bridge/records.js is out of date: `npm run records` writes it");
}
