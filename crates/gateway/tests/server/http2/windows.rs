//! Settings, pings and windows: what the gateway itself sends.

use super::*;

const ACK: u8 = 1;

/// The answer's data until its last frame, or until nothing more may be sent.
fn data_until_ping(stream: &mut TcpStream) -> usize {
    stream.write_all(&frame(PING, 0, 0, b"12345678")).expect("written");
    let mut length = 0;
    loop {
        match next(stream).expect("a frame") {
            (DATA, _, _, payload) => length += payload.len(),
            (PING, ACK, _, _) => return length,
            _ => {}
        }
    }
}

#[test]
fn it_begins_with_settings_and_acknowledges_those_of_the_client() {
    let gateway = start(settings(), &Scripted::new());
    let mut stream = connect(&gateway);
    let (kind, flags, id, _) = next(&mut stream).expect("a frame");
    assert_eq!((kind, flags, id), (SETTINGS, 0, 0));
    while !matches!(next(&mut stream).expect("a frame"), (SETTINGS, ACK, 0, _)) {}
}

#[test]
fn a_ping_is_answered_with_its_own_bytes() {
    let gateway = start(settings(), &Scripted::new());
    let mut stream = connect(&gateway);
    stream.write_all(&frame(PING, ACK, 0, b"no reply")).expect("written");
    stream.write_all(&frame(PING, 0, 0, b"8 bytes.")).expect("written");
    let answer = loop {
        if let (PING, flags, _, payload) = next(&mut stream).expect("a frame") {
            break (flags, payload);
        }
    };
    assert_eq!(answer, (ACK, b"8 bytes.".to_vec()));
}

#[test]
fn of_two_windows_in_one_frame_the_last_one_counts() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("shop", &backend));
    let mut stream = connect(&gateway);
    let two = [&[0, 4, 0, 0, 0, 100][..], &[0, 4, 0, 0, 0, 1]].concat();
    stream.write_all(&frame(SETTINGS, 0, 0, &two)).expect("written");
    stream.write_all(&get("/shop/")).expect("written");
    assert_eq!(status(&mut stream), Some(200));
    until("it is read", || backend.seen() == 1);
    let (kind, _, _, payload) = next(&mut stream).expect("a frame");
    assert_eq!((kind, payload.len()), (DATA, 1));
}

#[test]
fn a_window_that_a_setting_made_negative_is_made_up_for_first() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("shop", &backend));
    let mut stream = connect(&gateway);
    stream.write_all(&setting(INITIAL_WINDOW_SIZE, 3)).expect("written");
    stream.write_all(&get("/shop/")).expect("written");
    let mut taken = 0;
    while taken < 3 {
        if let (DATA, _, _, payload) = next(&mut stream).expect("a frame") {
            taken += payload.len();
        }
    }
    assert_eq!(taken, 3);
    // Three less than nothing; two more still leave less than nothing.
    stream.write_all(&setting(INITIAL_WINDOW_SIZE, 0)).expect("written");
    stream.write_all(&frame(WINDOW_UPDATE, 0, 1, &2_u32.to_be_bytes())).expect("written");
    assert_eq!(data_until_ping(&mut stream), 0);
    stream.write_all(&frame(WINDOW_UPDATE, 0, 1, &2_u32.to_be_bytes())).expect("written");
    let (kind, _, _, payload) = next(&mut stream).expect("a frame");
    assert_eq!((kind, payload.len()), (DATA, 1));
}

#[test]
fn windows_grow_with_a_setting() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("shop", &backend));
    let mut stream = connect(&gateway);
    stream.write_all(&setting(INITIAL_WINDOW_SIZE, 0)).expect("written");
    stream.write_all(&get("/shop/")).expect("written");
    assert_eq!(status(&mut stream), Some(200));
    assert_eq!(data_until_ping(&mut stream), 0);
    stream.write_all(&setting(INITIAL_WINDOW_SIZE, 1)).expect("written");
    let length = loop {
        if let (DATA, _, _, payload) = next(&mut stream).expect("a frame") {
            break payload.len();
        }
    };
    assert_eq!(length, 1);
}

/// Bodies and trailers of the client, and heads without a body, over the same connection.
#[test]
fn requests_of_every_shape_are_served() {
    let backend = Backend::start();
    let gateway = start(settings(), &Scripted::with("shop", &backend));
    let mut stream = connect(&gateway);
    let head = |method: &str| {
        fields(&[
            (":method", method),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/shop/"),
        ])
    };
    let end = END_HEADERS | END_STREAM;
    let trailers = fields(&[("x-sum", "1")]);
    let requests = [
        frame(HEADERS, end, 1, &head("GET")),
        [frame(HEADERS, END_HEADERS, 3, &head("POST")), frame(DATA, END_STREAM, 3, b"body")]
            .concat(),
        [
            frame(HEADERS, END_HEADERS, 5, &head("POST")),
            frame(DATA, 0, 5, b"two "),
            frame(DATA, 0, 5, b"parts"),
            frame(HEADERS, end, 5, &trailers),
        ]
        .concat(),
        [frame(HEADERS, END_HEADERS, 7, &head("POST")), frame(DATA, END_STREAM, 7, b"")].concat(),
    ];
    for request in requests {
        stream.write_all(&request).expect("written");
        assert_eq!(status(&mut stream), Some(200));
    }
    assert_eq!(backend.seen(), 4);
}
