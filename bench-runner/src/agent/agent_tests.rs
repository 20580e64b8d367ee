//! Agents on loopback, in this process: who is let in, what is said to whom, and clocks that are bent.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::thread::JoinHandle;

use super::pairing::Code;
use super::words::{Ask, LONGEST, Tell};
use super::*;
use crate::hosts::book::{Book, Entry};
use crate::hosts::link::Link;
use crate::hosts::pair;
use crate::hosts::watch::Watch;

/// An agent at work in a thread, which ends with this.
struct Served {
    agent: Arc<Agent>,
    at: SocketAddr,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _state: tempfile::TempDir,
}

impl Served {
    fn new(clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let state = tempfile::tempdir().unwrap();
        let args = Args {
            listen: "127.0.0.1:0".parse().unwrap(),
            pair: false,
            state: Some(state.path().join("agent")),
            orphan_after: Duration::from_secs(30),
            programs: ProgramArgs::default(),
        };
        let mut agent = Agent::new(&args).unwrap();
        agent.clock = Box::new(clock);
        let agent = Arc::new(agent);
        let listener = TcpListener::bind(args.listen).unwrap();
        listener.set_nonblocking(true).unwrap();
        let at = listener.local_addr().unwrap();
        let end = Arc::new(AtomicBool::new(false));
        let thread = {
            let (agent, end) = (Arc::clone(&agent), Arc::clone(&end));
            std::thread::spawn(move || agent.serve(&listener, || end.load(Ordering::Acquire)))
        };
        Self { agent, at, end, thread: Some(thread), _state: state }
    }

    fn ready_to_pair(&self) -> String {
        self.agent.open_pairing(self.at);
        self.agent.lock(&self.agent.offer).as_ref().unwrap().code().to_string()
    }

    fn entry(&self) -> Entry {
        Entry { address: self.at, fingerprint: self.agent.identity.fingerprint().to_string() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        self.thread.take().map(JoinHandle::join);
    }
}

fn runner(folder: &Path, name: &str) -> Book {
    Book::open(Some(&folder.join(name))).unwrap()
}

fn greeted(book: &Book, served: &Served) -> Result<Tell, String> {
    let said = |e: anyhow::Error| e.to_string();
    let mut link = Link::connect(book, "a", &served.entry()).map_err(said)?;
    link.call(&Ask::Hello, Duration::from_secs(5)).map_err(said)
}

#[test]
fn whoever_is_not_paired_gets_nothing_and_a_code_is_good_for_one() {
    let served = Served::new(record::monotonic_ns);
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (runner(folder.path(), "first"), runner(folder.path(), "second"));

    let refused = |book: &Book| {
        let said = greeted(book, &served).unwrap_err();
        assert!(said.contains("refused our certificate") || said.contains("closed"), "{said}");
    };
    refused(&first);
    let no = pair(&first, served.at, &Code::draw().to_string()).unwrap_err();
    assert!(crate::exit::say(&no).contains("did not pair") && no.to_string().contains("try: "), "{no:#}");

    let code = served.ready_to_pair();
    // In the time for pairing a stranger may prove that it knows the code, and nothing else.
    refused(&first);
    let wrong = pair(&second, served.at, &Code::draw().to_string()).unwrap_err();
    assert!(crate::exit::say(&wrong).contains("the code is wrong"), "{wrong:#}");
    let entry = pair(&first, served.at, &code).unwrap();
    assert_eq!(entry, served.entry());
    assert!(matches!(greeted(&first, &served).unwrap(), Tell::Hello { .. }));

    let replayed = pair(&second, served.at, &code).unwrap_err();
    assert!(crate::exit::say(&replayed).contains("did not pair"), "{replayed:#}");
    refused(&second);
    // Paired with another agent of that name: the certificate is not the one that was pinned.
    let elsewhere = Entry { fingerprint: Fingerprint([7; 32]).to_string(), ..served.entry() };
    assert!(Link::connect(&first, "a", &elsewhere).is_err());
}

#[test]
fn bytes_of_strangers_are_answered_with_no_word_of_ours() {
    let served = Served::new(record::monotonic_ns);
    let ask = |bytes: &[u8]| {
        let mut socket = TcpStream::connect(served.at).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        socket.write_all(bytes).unwrap();
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let mut said = Vec::new();
        let _ = socket.read_to_end(&mut said);
        said
    };
    let hello = frame::frame(&Ask::Hello, LONGEST).unwrap();
    for bytes in [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), hello, vec![0; 4096], vec![0xff; 70_000]] {
        let said = ask(&bytes);
        // At most an alert of TLS, which has seven bytes.
        assert!(said.len() <= 7, "{said:?}");
    }
}

#[test]
fn a_peer_that_says_too_much_or_nonsense_is_dropped_and_others_are_served() {
    let served = Served::new(record::monotonic_ns);
    let folder = tempfile::tempdir().unwrap();
    let book = runner(folder.path(), "runner");
    pair(&book, served.at, &served.ready_to_pair()).unwrap();
    let pinned = served.agent.identity.fingerprint();
    let config = trust::client(book.identity(), Arc::new(move |who| who == pinned)).unwrap();
    let long = serde_json::json!({ "clock": { "session": "x".repeat(LONGEST) } });
    let nonsense = serde_json::json!({ "sing": "a song" });
    let outside = serde_json::json!({ "read": { "run": "..", "attempt": "..", "path": "key.pem", "offset": 0 } });
    for (message, refused) in [(long, false), (nonsense, false), (outside, true)] {
        let socket = TcpStream::connect(served.at).unwrap();
        let patience = Duration::from_secs(10);
        let mut channel = Channel::connect(Arc::clone(&config), socket, 2 * LONGEST, patience).unwrap();
        let _ = channel.say(&message, patience);
        let answer = channel.hear::<Tell>(patience);
        assert_eq!(matches!(answer, Ok(Tell::Refused { .. })), refused, "{answer:?}");
        assert_eq!(answer.is_err(), !refused);
    }
    assert!(matches!(greeted(&book, &served).unwrap(), Tell::Hello { .. }));
    let orders = [
        Ask::Order(Box::new(words::Order::Look)),
        Ask::Begin { session: "x".into(), run: "r".into(), side: "load".into() },
    ];
    for ask in orders {
        let mut link = Link::connect(&book, "a", &served.entry()).unwrap();
        assert!(link.call(&ask, Duration::from_secs(5)).is_err(), "{ask:?}");
    }
}

#[test]
fn bent_clocks_are_found_within_the_bound_over_a_real_connection() {
    for (offset_ns, ppm) in [(-5_000_000_000_i64, 100.0), (5_000_000_000, -100.0), (0, 0.0)] {
        // Far from 0, so that five seconds less are still a time.
        let base = 1_000_000_000_000_u64;
        let start = record::monotonic_ns();
        let ahead = move |at: u64| (base as i64 + offset_ns) as f64 + (at as f64 - start as f64) * ppm * 1e-6;
        let served = Served::new(move || {
            let at = record::monotonic_ns();
            at + ahead(at) as u64
        });
        let folder = tempfile::tempdir().unwrap();
        let book = Arc::new(runner(folder.path(), "runner"));
        let entry = pair(&book, served.at, &served.ready_to_pair()).unwrap();
        let watch = Watch::begin(&book, "a", &entry, "0123456789abcdef").unwrap();
        let file = folder.path().join("clocks.jsonl");
        watch.write_to(file.clone()).unwrap();
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(700));
            let at = record::monotonic_ns();
            let found = watch.ahead_ns(at).unwrap();
            let truth = ahead(at);
            assert!((found.value - truth).abs() <= found.error + 2.0, "{found:?} does not hold {truth}");
        }
        watch.expect().unwrap();
        drop(watch);
        let kept = record::Lines::<record::ClockExchange>::open(&file).unwrap().map(Result::unwrap).count();
        assert!(kept >= 24, "{kept} exchanges kept");
    }
}

#[test]
fn a_session_that_is_not_heard_of_is_abandoned() {
    let state = tempfile::tempdir().unwrap();
    let args = Args {
        listen: "127.0.0.1:0".parse().unwrap(),
        pair: false,
        state: Some(state.path().join("agent")),
        orphan_after: Duration::ZERO,
        programs: ProgramArgs::default(),
    };
    let agent = Agent::new(&args).unwrap();
    assert!(agent.abandoned("0123456789abcdef"));
    agent.heard_of("0123456789abcdef");
    std::thread::sleep(Duration::from_millis(2));
    assert!(agent.abandoned("0123456789abcdef"));
    let patient = Agent::new(&Args { orphan_after: Duration::from_secs(30), ..args }).unwrap();
    patient.heard_of("0123456789abcdef");
    assert!(!patient.abandoned("0123456789abcdef"));
    for k in 0..1000 {
        patient.heard_of(&format!("{k:016x}"));
    }
    patient.heard_of(&"f".repeat(1 << 16));
    assert!(patient.lock(&patient.heard).len() <= SESSIONS, "what is remembered does not grow");
}
