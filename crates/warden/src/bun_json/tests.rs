use super::*;

/// Each text was tried as a `package.json`, alone or beside a start script, with Bun 1.3.14 and
/// 1.4.5.
#[test]
fn what_both_buns_read_is_read() {
    for text in [
        "{}",
        "\u{feff}\u{feff}{\u{a0}\u{3000}\u{b}\u{c}\u{2028}}\u{feff}",
        "// a\r{}",
        "// a\u{2029}{} //",
        "/***/{/* ' */}/**/",
        r#"{"a":1,}"#,
        r#"{"a":[1,{},],/* b */}// c"#,
        r#"{'a':'"'}"#,
        "{\"a\":\"\u{7f}\u{2028}é😀\"}",
        r#"{"a":"\"\/\\\b\f\n\r\t\v\8\9\x41\u0041\ud83d\ude00"}"#,
        r#"{"\ud800":"\udc00\ud800\u0041"}"#,
        r#"{"a":[0,-0,01,-017,08,0189,.5,-.5,1.,1.e5,1E+5,0e0,1_000.5,.5_1,1e1_0,1e999]}"#,
        r#"{"a":[0x10,0XfF,-0xF_F,0b101,0o1_7,- 1,-/**/.5]}"#,
        r#"{"a":[true,false,null,[],{}]}"#,
        "{},",
        "{}}}",
        "{} {",
        "{} x",
        "{} \u{200b}",
        "{}\0\0",
        "{}\u{1a}",
        r#"{} "x""#,
        "{} 1",
    ] {
        assert!(parse(text.as_bytes()).is_ok(), "{text}: {:?}", parse(text.as_bytes()));
    }
    for text in [b"{\"a\xff\":'\xe2\x82'}".as_slice(), b"//\xc3\n{}", b"/*\xe2*/{}", b"{}\xff"] {
        assert!(parse(text).is_ok(), "{text:?}");
    }
    let utf16: Vec<u8> =
        "\u{feff}{\"a\":'é😀'}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(parse(&utf16), Ok(Value::Object(vec![("a".into(), Value::Text("é😀".into()))])));
}

/// With each text, one of the two versions of Bun goes on to the directory above, or both do.
#[test]
fn what_one_of_them_passes_over_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "{/* no end",
        "{} /*/",
        "{}/",
        "{} #",
        "{};",
        "{} 1a",
        "{} x\\",
        "{} \"x",
        "#!x\n{}",
        "<!-- x\n{}",
        "({})",
        "{a:1}",
        "{1:1}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a"::1}"#,
        r#"{"a":1;}"#,
        r#"{"a":1 "b":2}"#,
        "{,}",
        r#"{"a":1,,}"#,
        "[,]",
        "[,1]",
        "[1,,]",
        "[1 2]",
        "[1}",
        "{\"a\":\"\t\"}",
        "{\"a\":'\n'}",
        "{\"a\":\"\0\"}",
        "{\u{85}}",
        "{\u{200b}}",
        "[`a`]",
    ] {
        assert!(parse(text.as_bytes()).is_err(), "{text}");
    }
    let escapes =
        [r"\0", r"\1", r"\'", r"\a", r"\ ", "\\\n", r"\x4", r"\x4g", r"\u12", r"\u{41}", r"\u00_1"];
    for escape in escapes {
        assert!(parse(format!("[\"{escape}\"]").as_bytes()).is_err(), "{escape}");
        assert!(parse(format!("['{escape}']").as_bytes()).is_err(), "{escape}");
    }
    let numbers = [
        "+1", "1e", "1e+", "0x", "0xg", "0b2", "0o8", "1__0", "1_", "_1", "0_1", "01_1", "1_.5",
        "1._5", "1e_5", "1n", "1a", "1.2.3", ".", ".e1", "-", "--1", "00.5", "01.5", "07e1",
        "08e1", "09.5", "0x1.5", "0x_1", "0x1_",
    ];
    let words = [
        "NaN",
        "Infinity",
        "-Infinity",
        "undefined",
        "True",
        "nul",
        "nulll",
        "-null",
        "tru\\u0065",
        "!0",
    ];
    for value in numbers.into_iter().chain(words) {
        assert!(parse(format!("[{value}]").as_bytes()).is_err(), "{value}");
    }
}

#[test]
fn nesting_has_an_end() {
    let nested = |levels| [vec![b'['; levels], vec![b']'; levels]].concat();
    assert!(parse(&nested(MOST_LEVELS)).is_ok());
    assert!(parse(&nested(MOST_LEVELS + 1)).is_err());
}
