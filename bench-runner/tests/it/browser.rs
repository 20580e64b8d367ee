//! Chromium without a window, driven over its own pipe: what is clicked and typed is real, and all it says is kept.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};

use crate::program::{among_others, skip};

/// No answer takes as long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with a profile of its own, ended when dropped.
pub(crate) struct Browser {
    program: Child,
    to: File,
    from: Receiver<Value>,
    calls: u64,
    /// What happened and nobody asked for, in order.
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts Chromium; none where there is none, which fails under `REQUIRE_BROWSER`.
    pub(crate) fn start() -> Option<Self> {
        let found = ["chromium", "chromium-browser", "google-chrome"]
            .into_iter()
            .find(|name| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success()));
        let Some(name) = found else {
            assert!(skip("there is no Chromium", "REQUIRE_BROWSER"));
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let [orders, answers] = ["orders", "answers"].map(|pipe| profile.path().join(pipe));
        for pipe in [&orders, &answers] {
            rustix::fs::mknodat(rustix::fs::CWD, pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        }
        // Chromium takes its orders from descriptor 3 and answers on 4, where only a shell can put them without
        // unsafe code.
        let program = Command::new("sh")
            .args(["-c", "orders=$1; answers=$2; shift 2; exec \"$@\" 3<\"$orders\" 4>\"$answers\"", "sh"])
            .args([&orders, &answers])
            .args([name, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"])
            .args(["--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-quic"])
            .args(["--disable-component-update", "--disable-sync", "--hide-scrollbars"])
            // No name leads anywhere, so that a page that asks for something outside gets nothing.
            .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost")
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let to = File::options().write(true).open(&orders).unwrap();
        let answers = BufReader::new(File::open(&answers).unwrap());
        let (sender, from) = channel();
        std::thread::spawn(move || {
            for message in answers.split(0) {
                let Ok(message) = message else { return };
                let Ok(message) = serde_json::from_slice(&message) else { return };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Some(Self { program, to, from, calls: 0, events: Vec::new(), _profile: profile })
    }

    /// Opens an address, `file://` or of this machine, and waits until it is loaded.
    pub(crate) fn open(&mut self, address: &str) -> Page<'_> {
        let target = self.call(None, "Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = self.call(None, "Target.attachToTarget", &attach)["sessionId"].as_str().unwrap().to_owned();
        let mut page = Page { browser: self, session };
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            page.call(&format!("{domain}.enable"), &json!({}));
        }
        page.size(1200, 900);
        page.go(address);
        page
    }

    /// Opens a file.
    pub(crate) fn open_file(&mut self, path: &Path) -> Page<'_> {
        self.open(&format!("file://{}", path.display()))
    }

    fn call(&mut self, session: Option<&str>, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut order = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = session {
            order["sessionId"] = json!(session);
        }
        let mut text = order.to_string().into_bytes();
        text.push(0);
        self.to.write_all(&text).unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            let message = self.next(end).unwrap_or_else(|| panic!("no answer to {method} in {PATIENCE:?}"));
            if message["id"] != json!(id) {
                self.events.push(message);
                continue;
            }
            // What was asked for may have led to another page, where it is asked again.
            if method == "Runtime.evaluate"
                && message["error"]["message"].as_str().is_some_and(|m| m.contains("navigated"))
            {
                return self.call(session, method, parameters);
            }
            assert!(message.get("error").is_none(), "{method}: {}", message["error"]);
            return message["result"].clone();
        }
    }

    fn next(&self, end: Instant) -> Option<Value> {
        match self.from.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the browser has ended"),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked, it ends its children too.
        let _ = self.to.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end && self.program.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// A page that is open.
pub(crate) struct Page<'b> {
    browser: &'b mut Browser,
    session: String,
}

impl Page<'_> {
    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        let session = self.session.clone();
        self.browser.call(Some(&session), method, parameters)
    }

    /// Goes to an address, and waits until it is loaded and drawn.
    pub(crate) fn go(&mut self, address: &str) {
        self.load(address);
        self.drawn();
    }

    fn load(&mut self, address: &str) {
        let loaded = |events: &[Value]| events.iter().filter(|e| e["method"] == "Page.loadEventFired").count();
        let before = loaded(&self.browser.events);
        let answer = self.call("Page.navigate", &json!({"url": address}));
        assert!(answer.get("errorText").is_none(), "{address}: {answer}");
        let end = Instant::now() + PATIENCE;
        while loaded(&self.browser.events) == before {
            let event = self.browser.next(end).unwrap_or_else(|| panic!("{address} does not load"));
            self.browser.events.push(event);
        }
    }

    /// Waits for the next picture, by which all that was done before is seen.
    pub(crate) fn drawn(&mut self) {
        self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))");
    }

    /// The value of an expression, or of the promise that it is.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &asked);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// The text of the first element that a selector finds.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let found = self.value(&format!("document.querySelector({})?.textContent ?? null", json!(selector)));
        found.as_str().unwrap_or_else(|| panic!("there is no {selector}")).to_owned()
    }

    /// How many elements a selector finds.
    pub(crate) fn count(&mut self, selector: &str) -> u64 {
        self.value(&format!("document.querySelectorAll({}).length", json!(selector))).as_u64().unwrap()
    }

    /// Waits until an expression holds.
    pub(crate) fn until(&mut self, expression: &str) {
        let end = Instant::now() + PATIENCE;
        while self.value(expression) != json!(true) {
            assert!(Instant::now() < end, "never held: {expression}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The place of an element's share (0 to 1, from its left and from its top), brought into view.
    fn place(&mut self, selector: &str, share: (f64, f64)) -> (f64, f64) {
        let place = self.value(&format!(
            "(() => {{ const e = document.querySelector({}); if (!e) return null; e.scrollIntoView({{block: 'center'}}); \
             const r = e.getBoundingClientRect(); return [r.left + r.width * {}, r.top + r.height * {}]; }})()",
            json!(selector),
            share.0,
            share.1
        ));
        let at = |axis: usize| place[axis].as_f64().unwrap_or_else(|| panic!("there is no {selector}"));
        (at(0), at(1))
    }

    fn mouse(&mut self, kind: &str, (x, y): (f64, f64)) {
        let button = if kind == "mouseMoved" { "none" } else { "left" };
        let event = json!({"type": kind, "x": x, "y": y, "button": button, "clickCount": 1});
        self.call("Input.dispatchMouseEvent", &event);
    }

    /// Clicks in the middle of an element.
    pub(crate) fn click(&mut self, selector: &str) {
        let place = self.place(selector, (0.5, 0.5));
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            self.mouse(kind, place);
        }
        self.drawn();
    }

    /// Moves the pointer over an element, to this share of it (0 to 1, from its left and from its top).
    pub(crate) fn hover(&mut self, selector: &str, share: (f64, f64)) {
        let place = self.place(selector, share);
        self.mouse("mouseMoved", place);
        self.drawn();
    }

    /// Gives an element the focus of the keyboard, and says whether it took it.
    pub(crate) fn focus(&mut self, selector: &str) -> bool {
        let selector = json!(selector);
        let asked =
            format!("(e => {{ e.focus(); return document.activeElement === e; }})(document.querySelector({selector}))");
        self.value(&asked) == json!(true)
    }

    /// Presses a key by its name: "Tab", "Enter", "ArrowRight", " ".
    pub(crate) fn press(&mut self, key: &str) {
        let (code, number, text) = match key {
            "Enter" => ("Enter", 13, "\r"),
            " " => ("Space", 32, " "),
            "Tab" => ("Tab", 9, ""),
            "Escape" => ("Escape", 27, ""),
            "End" => ("End", 35, ""),
            "Home" => ("Home", 36, ""),
            "ArrowLeft" => ("ArrowLeft", 37, ""),
            "ArrowRight" => ("ArrowRight", 39, ""),
            other => panic!("no key {other}"),
        };
        let kind = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        let mut down = json!({"type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number});
        if !text.is_empty() {
            down["text"] = json!(text);
        }
        self.call("Input.dispatchKeyEvent", &down);
        self.call(
            "Input.dispatchKeyEvent",
            &json!({"type": "keyUp", "key": key, "code": code, "windowsVirtualKeyCode": number}),
        );
        self.drawn();
    }

    /// Types into what has the focus.
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
        self.drawn();
    }

    /// The size of the window.
    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Asks for "light" or "dark", on "screen" or in "print".
    pub(crate) fn look(&mut self, scheme: &str, media: &str) {
        let asked = json!({"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &asked);
        self.drawn();
    }

    /// Goes to an address as a browser does that runs no scripts.
    pub(crate) fn go_without_scripts(&mut self, address: &str) {
        self.call("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
        self.load(address);
        // What the page brought stays unrun; the driver's own needs them.
        self.call("Emulation.setScriptExecutionDisabled", &json!({"value": false}));
        self.drawn();
    }

    /// A picture of the whole page as a PNG file; kept under `KEEP_SCREENSHOTS` as well. Its size in bytes.
    pub(crate) fn picture(&mut self, name: &str) -> usize {
        let asked = json!({"format": "png", "captureBeyondViewport": true});
        let answer = self.call("Page.captureScreenshot", &asked);
        let png = base64::engine::general_purpose::STANDARD.decode(answer["data"].as_str().unwrap()).unwrap();
        if let Some(keep) = std::env::var_os("KEEP_SCREENSHOTS") {
            std::fs::create_dir_all(&keep).unwrap();
            std::fs::write(Path::new(&keep).join(format!("{name}.png")), &png).unwrap();
        }
        png.len()
    }

    fn events(&self, method: &str) -> Vec<Value> {
        let ours = |e: &&Value| e["sessionId"] == json!(self.session) && e["method"] == json!(method);
        self.browser.events.iter().filter(ours).cloned().collect()
    }

    /// Errors and warnings on the console, exceptions, and what the browser itself logs, such as what a page's policy
    /// forbids.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let console = self.events("Runtime.consoleAPICalled");
        let console =
            console.iter().filter(|e| ["error", "warning", "assert"].map(|t| json!(t)).contains(&e["params"]["type"]));
        let said = console.map(|e| e["params"]["args"].to_string());
        let thrown =
            self.events("Runtime.exceptionThrown").into_iter().map(|e| e["params"]["exceptionDetails"].to_string());
        let logged = self.events("Log.entryAdded").into_iter().map(|e| e["params"]["entry"].to_string());
        said.chain(thrown).chain(logged).collect()
    }

    /// The addresses of everything that was asked for, the page itself first.
    pub(crate) fn requests(&self) -> Vec<String> {
        let sent = self.events("Network.requestWillBeSent");
        sent.iter().map(|e| e["params"]["request"]["url"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The serious and critical faults that axe-core finds, one line each. `AXE` names its script; without it the test is
    /// skipped, which fails under `REQUIRE_BROWSER`.
    pub(crate) fn faults(&mut self) -> Vec<String> {
        let Some(script) = std::env::var_os("AXE") else {
            assert!(skip("AXE does not name axe-core's script", "REQUIRE_BROWSER"));
            return Vec::new();
        };
        let script = std::fs::read_to_string(&script).unwrap_or_else(|e| panic!("{}: {e}", script.display()));
        if self.value("typeof axe") == json!("undefined") {
            self.value(&format!("{script}\n;true"));
        }
        let found = self.value(
            "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.filter(v => \
             v.impact === 'serious' || v.impact === 'critical').flatMap(v => v.nodes.slice(0, 5).map(n => \
             v.id + ': ' + n.target.join(' ') + ': ' + n.failureSummary)))",
        );
        let found = found.as_array().unwrap_or_else(|| panic!("axe-core said {found}"));
        found.iter().map(|fault| fault.as_str().unwrap_or_default().to_owned()).collect()
    }
}

#[test]
fn what_is_wrong_with_a_page_is_found() {
    let _seat = among_others();
    let Some(mut browser) = Browser::start() else { return };
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("bad.html");
    let bad = "<!DOCTYPE html><title>bad</title><p style='color:#bbb;background:#fff'>faint</p>\
               <button onclick='this.textContent += \"!\"'>press</button> <input id=i><p id=h style='height:40px'>here</p>\
               <img src='http://outside.invalid/x.png' alt=''><script>console.error('oh no'); \
               document.querySelector('#h').onmousemove = e => e.target.textContent = e.offsetX</script>";
    std::fs::write(&path, bad).unwrap();
    let mut page = browser.open_file(&path);
    let complaints = page.complaints().join("\n");
    assert!(complaints.contains("oh no") && complaints.contains("outside.invalid"), "{complaints}");
    assert!(page.requests().contains(&"http://outside.invalid/x.png".to_owned()), "{:?}", page.requests());
    let faults = page.faults().join("\n");
    assert!(faults.contains("color-contrast") && faults.contains("html-has-lang"), "{faults}");
    page.click("button");
    assert!(page.focus("button"));
    page.press("Enter");
    page.press(" ");
    assert_eq!(page.text("button"), "press!!!");
    page.press("Tab");
    page.write("word");
    assert_eq!(page.value("document.querySelector('input').value"), json!("word"));
    page.hover("#h", (0.5, 0.5));
    page.until("Math.abs(document.querySelector('#h').textContent - document.querySelector('#h').offsetWidth / 2) < 2");
    page.look("dark", "print");
    assert_eq!(
        page.value("[matchMedia('print').matches, matchMedia('(prefers-color-scheme: dark)').matches]"),
        json!([true, true])
    );
    page.go_without_scripts(&format!("file://{}", path.display()));
    assert_eq!(page.text("#h"), "here");
    assert_eq!(page.complaints().iter().filter(|c| c.contains("oh no")).count(), 1, "it ran without scripts");
}
