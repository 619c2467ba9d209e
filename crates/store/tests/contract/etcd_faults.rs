//! Faults of a real etcd: members that are killed or stopped, that lose their answers, forget their
//! tokens, or come back with an older state.

use crate::bed::{change, created, does, if_all, keys, put, record, soon, value};
use crate::etcd::{PATIENT, settings, way};
use crate::followers::{Following, PULSE, follow};
use crate::member::{self, Member, Options, cluster, copy, start};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;
use store::etcd::{Credentials, Identity, Tls};
use store::{Etcd, News, Outcome, Rhythm, Store, StoreError};

/// What a host with a lease of three seconds would take.
const ATTEMPT: Duration = Duration::from_millis(500);

fn endpoints(members: &[Member]) -> Vec<String> {
    members.iter().map(Member::endpoint).collect()
}

fn three() -> Vec<Member> {
    let mut members = cluster(3, &Options::default());
    start(&mut members);
    members
}

fn one() -> Member {
    let mut member = cluster(1, &Options::default()).remove(0);
    member.start().ready();
    member
}

fn way_to(member: &Member) -> Etcd {
    way(vec![member.endpoint()], "/a/", PATIENT)
}

/// The members' number whose endpoint leads.
fn leader(members: &[Member]) -> usize {
    let leader = members.iter().position(|member| member.is_up() && member.leads());
    leader.expect("one leads")
}

/// Puts a value again and again until the store says that it did.
async fn put_at_last(store: &Etcd, key: &str, value: &str) {
    let until_done =
        async { while store.commit(if_all([], vec![put(key, value)])).await.is_err() {} };
    soon(until_done).await;
}

async fn lost(following: &mut Following) -> StoreError {
    loop {
        if let News::Lost(why) = following.next().await {
            return why;
        }
    }
}

/// Follows until it has heard that a key has this value.
async fn hear(following: &mut Following, key: &str, value: &str) {
    loop {
        let is_it = match following.next().await {
            News::Listed { records, .. } => {
                records.iter().any(|it| it.key == key && it.value == value.as_bytes())
            }
            News::Changed(batch) => {
                let told = format!("{key}={value}");
                batch.events.iter().any(|event| crate::bed::told(event) == told)
            }
            News::Lost(_) => false,
        };
        if is_it {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_may_be_killed_and_stopped_and_come_back() {
    if !member::is_there() {
        return;
    }
    let mut members = three();
    let store = way(endpoints(&members), "/a/", ATTEMPT);
    let mut following = follow(store.clone(), Rhythm::default());
    put_at_last(&store, "claims/a", "before").await;
    hear(&mut following, "claims/a", "before").await;

    // Each time another key: what was sent to a stopped leader may be done when it goes on.
    let killed = leader(&members);
    members[killed].kill();
    put_at_last(&store, "claims/b", "without the first").await;
    hear(&mut following, "claims/b", "without the first").await;
    members[killed].start().ready();

    let stopped = leader(&members);
    members[stopped].stop();
    put_at_last(&store, "claims/c", "without the second").await;
    hear(&mut following, "claims/c", "without the second").await;
    members[stopped].go_on();
    put_at_last(&store, "claims/d", "with all").await;
    hear(&mut following, "claims/d", "with all").await;
    let (_, records) = way(endpoints(&members), "/a/", PATIENT)
        .list(store::Range::prefix("claims/"))
        .await
        .expect("a list");
    assert_eq!(keys(&records), ["claims/a", "claims/b", "claims/c", "claims/d"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_wins_each_claim_whatever_becomes_of_the_leader() {
    const HOSTS: usize = 4;
    const KEYS: usize = 150;
    if !member::is_there() {
        return;
    }
    let mut members = three();
    let prepared = way(endpoints(&members), "/a/", PATIENT);
    put_at_last(&prepared, "ready", "").await;
    let hosts: Vec<_> = (0..HOSTS)
        .map(|host| {
            let store = way(endpoints(&members), "/a/", ATTEMPT);
            tokio::spawn(async move {
                let mut won = Vec::new();
                for key in (0..KEYS).map(|key| format!("claims/{key}")) {
                    let claim = if_all([created(&key, 0)], vec![put(&key, &host.to_string())]);
                    // One whose answer is unknown is taken up by nobody.
                    if let Ok(Outcome::Committed { .. }) = store.commit(claim).await {
                        won.push(key);
                    }
                }
                won
            })
        })
        .collect();
    // While some are claimed, and some are not.
    while record(&prepared, "claims/20").await.is_none() {}
    let killed = leader(&members);
    members[killed].kill();
    members[killed].start().ready();
    let stopped = leader(&members);
    members[stopped].stop();
    put_at_last(&way(endpoints(&members), "/a/", ATTEMPT), "elected", "").await;
    members[stopped].go_on();
    let mut winners = BTreeMap::new();
    for (host, won) in hosts.into_iter().enumerate() {
        for key in soon(won).await.expect("no panic") {
            assert_eq!(winners.insert(key, host.to_string()), None, "two have won one key");
        }
    }
    assert!(!winners.is_empty());
    for (key, host) in &winners {
        assert_eq!(value(&prepared, key).await.as_ref(), Some(host), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_member_costs_one_attempt_and_is_left() {
    if !member::is_there() {
        return;
    }
    let mut members = three();
    let session = {
        let store = way(endpoints(&members), "/a/", PATIENT);
        change(&store, vec![put("hosts/a", "")]).await
    };
    let stopped = (leader(&members) + 1) % 3;
    let mut order = endpoints(&members);
    order.rotate_left(stopped);
    let store = way(order, "/a/", ATTEMPT);
    let beat = async |n| does(&store, [created("hosts/a", session)], vec![put("beats/a", n)]).await;
    assert!(beat("1").await);
    members[stopped].stop();
    // Over the connection that rests: a beat is sent again by itself, since it may be.
    assert!(beat("2").await);
    assert_eq!(value(&store, "beats/a").await.as_deref(), Some("2"));
    // The stopped one is not asked any more, by what may not be sent twice either.
    for key in ["claims/0", "claims/1", "claims/2"] {
        assert!(does(&store, [created(key, 0)], vec![put(key, "")]).await);
    }
    // A new host begins with the stopped one.
    let mut order = endpoints(&members);
    order.rotate_left(stopped);
    let other = way(order, "/a/", ATTEMPT);
    let claim = other.commit(if_all([created("claims/k", 0)], vec![put("claims/k", "")])).await;
    assert!(matches!(claim, Err(StoreError::Unknown(_))), "{claim:?}");
    assert!(does(&other, [created("claims/l", 0)], vec![put("claims/l", "")]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_at_a_stopped_member_is_left() {
    if !member::is_there() {
        return;
    }
    let mut members = three();
    let stopped = (leader(&members) + 1) % 3;
    let mut order = endpoints(&members);
    order.rotate_left(stopped);
    let mut following = follow(way(order.clone(), "/a/", ATTEMPT), Rhythm::default());
    assert_eq!(following.listed().await, []);
    members[stopped].stop();
    order.rotate_left(1);
    let store = way(order, "/a/", ATTEMPT);
    put_at_last(&store, "claims/a", "unheard").await;
    assert_eq!(lost(&mut following).await, StoreError::Silent);
    assert_eq!(keys(&following.listed().await), ["claims/a"]);
    put_at_last(&store, "claims/a", "heard").await;
    assert_eq!(following.told().await, ["claims/a=heard"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_cut_off_from_the_others_does_not_keep_its_watches() {
    if !member::is_there() {
        return;
    }
    let mut members = three();
    let kept = (leader(&members) + 1) % 3;
    let mut order = endpoints(&members);
    order.rotate_left(kept);
    let mut following = follow(way(order, "/a/", ATTEMPT), Rhythm::default());
    following.listed().await;
    // It is there and answers, and hears of nothing: most of the members are gone.
    for other in [(kept + 1) % 3, (kept + 2) % 3] {
        members[other].stop();
    }
    assert_eq!(lost(&mut following).await, StoreError::Silent);
    for other in [(kept + 1) % 3, (kept + 2) % 3] {
        members[other].go_on();
    }
    assert_eq!(following.listed().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_members_may_be_gone_and_come_back() {
    if !member::is_there() {
        return;
    }
    let mut members = three();
    let store = way(endpoints(&members), "/a/", ATTEMPT);
    put_at_last(&store, "claims/a", "kept").await;
    let mut following = follow(store.clone(), Rhythm::default());
    following.listed().await;
    members.iter_mut().for_each(Member::kill);
    lost(&mut following).await;
    let refused = store.commit(if_all([], vec![put("claims/b", "never")])).await;
    assert!(matches!(refused, Err(StoreError::Unreachable(_))), "{refused:?}");
    start(&mut members);
    assert_eq!(keys(&following.listed().await), ["claims/a"]);
    assert_eq!(record(&store, "claims/b").await, None, "not carried out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stopped_member_was_asked_is_unknown() {
    if !member::is_there() {
        return;
    }
    let mut member = one();
    let store = way(vec![member.endpoint()], "/a/", ATTEMPT);
    change(&store, vec![put("hosts/a", "")]).await;
    member.stop();
    let claim = store.commit(if_all([created("claims/a", 0)], vec![put("claims/a", "")])).await;
    assert!(matches!(claim, Err(StoreError::Unknown(_))), "{claim:?}");
    let listed = store.list(store::Range::all()).await;
    assert!(matches!(listed, Err(StoreError::Unknown(_))), "{listed:?}");
    member.go_on();
    // etcd 3.4 does it now, 3.5 does not: nobody waits for it any more.
    let again = way_to(&member).commit(if_all([created("claims/a", 0)], vec![])).await;
    assert!(again.is_ok(), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_comes_back_with_an_older_state_is_told() {
    if !member::is_there() {
        return;
    }
    let mut member = one();
    let store = way_to(&member);
    change(&store, vec![put("claims/a", "old")]).await;
    member.kill();
    let backup = member.data().with_file_name("backup");
    copy(&member.data(), &backup);
    member.start().ready();
    let mut following = follow(store.clone(), Rhythm::default());
    following.listed().await;
    for n in 0..5 {
        change(&store, vec![put("claims/a", &n.to_string())]).await;
        hear(&mut following, "claims/a", &n.to_string()).await;
    }
    member.kill();
    fs::remove_dir_all(member.data()).expect("it is there");
    fs::rename(&backup, member.data()).expect("it is there");
    member.start().ready();
    loop {
        match lost(&mut following).await {
            StoreError::WentBack { had, has } => {
                assert!(has.revision < had.revision && has.cluster == had.cluster);
                break;
            }
            StoreError::Unreachable(_) | StoreError::Unknown(_) => {}
            why => panic!("{why:?}"),
        }
    }
    let records = following.listed().await;
    assert_eq!(records[0].value, b"old");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_etcd_at_the_same_address_is_told() {
    if !member::is_there() {
        return;
    }
    let mut first = one();
    let store = way_to(&first);
    change(&store, vec![put("claims/a", "")]).await;
    first.kill();
    let arguments = ["--initial-cluster-token", "another"].map(str::to_owned).to_vec();
    let options = Options { arguments, ..Options::default() };
    let mut second = cluster(1, &options).remove(0);
    second.client_port = first.client_port;
    second.start().ready();
    // It has got further than the first one.
    let direct = way_to(&second);
    for _ in 0..9 {
        change(&direct, vec![put("claims/a", "")]).await;
    }
    // The connection that rested has ended with the first one.
    let told = store.list(store::Range::all()).await;
    let Err(StoreError::WentBack { had, has }) = told else { panic!("{told:?}") };
    assert_ne!(had.cluster, has.cluster);
    assert!(has.revision > had.revision);
    assert_eq!(store.list(store::Range::all()).await.expect("a list").1.len(), 1);
}

/// An endpoint that reads requests and does something else than answering them.
fn broken(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 65_536]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_safe_by_its_conditions_is_sent_again_after_a_lost_answer() {
    if !member::is_there() {
        return;
    }
    let member = one();
    let direct = way_to(&member);
    let session = change(&direct, vec![put("hosts/a", "")]).await;
    let both = || way(vec![broken(""), member.endpoint()], "/a/", PATIENT);
    let claim = both().commit(if_all([created("claims/a", 0)], vec![put("claims/a", "")])).await;
    assert!(matches!(claim, Err(StoreError::Unknown(_))), "{claim:?}");
    assert_eq!(record(&direct, "claims/a").await, None, "it was not sent to the second");
    assert!(does(&both(), [created("hosts/a", session)], vec![put("beats/a", "")]).await);
    assert_eq!(value(&both(), "beats/a").await.as_deref(), Some(""));
    // The first time may have been carried out, so that a refusal of the second says too little.
    let late = both().commit(if_all([created("hosts/a", 1)], vec![put("beats/a", "")])).await;
    assert!(matches!(late, Err(StoreError::Unknown(_))), "{late:?}");
    // An answer that breaks off in its middle is none either.
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    let both = way(vec![broken(cut), member.endpoint()], "/a/", PATIENT);
    let claim = both.commit(if_all([created("claims/a", 0)], vec![put("claims/a", "")])).await;
    assert!(matches!(claim, Err(StoreError::Unknown(_))), "{claim:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_listens_at_is_unreachable_and_the_next_is_asked() {
    if !member::is_there() {
        return;
    }
    let member = one();
    let nobody = || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        format!("http://{}", listener.local_addr().expect("an address"))
    };
    let claim = || if_all([created("claims/a", 0)], vec![put("claims/a", "")]);
    let alone = way(vec![nobody()], "/a/", PATIENT);
    let refused = alone.commit(claim()).await;
    assert!(matches!(refused, Err(StoreError::Unreachable(_))), "{refused:?}");
    let watch = alone.watch(store::Range::all(), 1).await.map(drop);
    assert!(matches!(watch, Err(StoreError::Unreachable(_))), "{watch:?}");
    let store = way(vec![nobody(), nobody(), member.endpoint()], "/a/", PATIENT);
    let claimed = store.commit(claim()).await;
    assert!(matches!(claimed, Ok(Outcome::Committed { .. })), "{claimed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_etcd_says_so() {
    let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\nnot found";
    let store = way(vec![broken(answer)], "/a/", PATIENT);
    let refused = store.list(store::Range::all()).await;
    let Err(StoreError::Denied(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("enable-grpc-gateway"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_has_a_token_and_gets_another_when_it_is_forgotten() {
    if !member::is_there() {
        return;
    }
    let mut member = one();
    let user = r#"{"name":"root","password":"secret"}"#;
    member.post("/v3/auth/user/add", user);
    member.post("/v3/auth/role/add", r#"{"name":"root"}"#);
    member.post("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#);
    member.post("/v3/auth/enable", "{}");
    let with = |password: &str| {
        let credentials = Credentials { user: "root".to_owned(), password: password.to_owned() };
        let settings = settings(vec![member.endpoint()], "/a/", PATIENT);
        Etcd::new(store::etcd::Settings { credentials: Some(credentials), ..settings })
            .expect("settings that can be used")
    };
    let store = with("secret");
    change(&store, vec![put("claims/a", "1")]).await;
    let mut following = follow(store.clone(), Rhythm::default());
    following.listed().await;
    for refused in [with("wrong"), way_to(&member)] {
        let answer = refused.commit(if_all([], vec![put("claims/a", "2")])).await;
        assert!(matches!(answer, Err(StoreError::Denied(_))), "{answer:?}");
        let watch = refused.watch(store::Range::all(), 1).await.map(drop);
        assert!(watch.is_err());
    }
    // Tokens are kept in memory.
    member.kill();
    member.start().ready();
    change(&store, vec![put("claims/a", "3")]).await;
    hear(&mut following, "claims/a", "3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_takes_whom_it_knows_and_shows_a_certificate() {
    if !member::is_there() {
        return;
    }
    let directory = std::env::temp_dir().join(format!("store-test-tls-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let file = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).expect("a file");
        path.to_str().expect("text").to_owned()
    };
    let authority = || {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA")
    };
    let ca = authority();
    let signed = || {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let cert = params.signed_by(&key, &ca).expect("a certificate");
        Identity { cert: cert.pem(), key: key.serialize_pem() }
    };
    let server = signed();
    let arguments = vec![
        "--client-cert-auth".to_owned(),
        format!("--trusted-ca-file={}", file("ca.pem", &ca.pem())),
        format!("--cert-file={}", file("cert.pem", &server.cert)),
        format!("--key-file={}", file("key.pem", &server.key)),
    ];
    let mut member = cluster(1, &Options { arguments, is_https: true }).remove(0);
    member.start().ready();
    let with = |ca: String, identity| {
        let settings = settings(vec![member.endpoint()], "/a/", PATIENT);
        Etcd::new(store::etcd::Settings { tls: Some(Tls { ca, identity }), ..settings })
            .expect("settings that can be used")
    };
    let store = with(ca.pem(), Some(signed()));
    change(&store, vec![put("claims/a", "1")]).await;
    let mut following = follow(store.clone(), Rhythm::default());
    following.listed().await;
    change(&store, vec![put("claims/a", "2")]).await;
    assert_eq!(following.told().await, ["claims/a=2"]);
    for refused in [with(authority().pem(), Some(signed())), with(ca.pem(), None)] {
        let answer = refused.commit(if_all([], vec![put("claims/a", "3")])).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    assert_eq!(value(&store, "claims/a").await.as_deref(), Some("2"));
    let _ = fs::remove_dir_all(directory);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pulse_is_below_the_prefix() {
    if !member::is_there() {
        return;
    }
    let member = one();
    let store = way_to(&member);
    let rhythm = Rhythm { quiet: Duration::from_millis(50), ..Rhythm::default() };
    let _following = follow(store.clone(), rhythm);
    soon(async { while record(&store, PULSE).await.is_none() {} }).await;
    let everything = way(vec![member.endpoint()], "", PATIENT);
    let (_, records) = everything.list(store::Range::all()).await.expect("a list");
    assert_eq!(keys(&records), ["/a/pulse"]);
}
