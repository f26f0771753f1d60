//! A web server with its own address that misbehaves on command.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

pub struct Entry {
    pub bytes: Arc<Vec<u8>>,
    pub modified: DateTime<Utc>,
}

/// What is served, by path.
#[derive(Default)]
pub struct Site {
    pub files: Mutex<BTreeMap<String, Entry>>,
}

impl Site {
    /// The files as (path, bytes).
    pub fn copies(&self) -> Vec<(String, Arc<Vec<u8>>)> {
        let files = self.files.lock().unwrap();
        files.iter().map(|(path, entry)| (path.clone(), entry.bytes.clone())).collect()
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Status(u16),
    /// The same, with the server's own words behind the number.
    Reason(u16, &'static str),
    /// Send the client to this address, with what stands in the path behind the pattern of the rule.
    Redirect(&'static str),
    /// Serve what lies here, with what stands in the path behind the pattern of the rule.
    #[allow(dead_code)] // Not every test that has this module needs it.
    Alias(&'static str),
    /// Take the request and close the connection.
    Close,
    /// Take the request and never answer.
    Hang,
    /// Announce the whole file, send half of it and close the connection.
    Cut,
    /// Serve half of the file as if it were all.
    Short,
    /// Serve the file with something behind its end.
    Long,
    /// Serve the file with one byte changed.
    Flip,
    /// Answers everything with a login page.
    #[allow(dead_code)] // For the random walk.
    Page,
    /// Answer only a request that no proxy may answer with a copy.
    #[allow(dead_code)] // Not every test that has this module needs it.
    Cached,
    /// Send this many bytes a second.
    Trickle(usize),
    /// Serve the file without its date, whatever is asked.
    #[allow(dead_code)] // Not every test that has this module needs it.
    Undated,
    /// Answers correctly, but so many milliseconds later, like a mirror far away.
    #[allow(dead_code)] // For the benchmark.
    Late(u64),
}

type Rule = (String, Fault);
type Hook = (String, usize, Box<dyn FnOnce() + Send>);

#[derive(Default)]
struct Shared {
    site: Arc<Site>,
    faults: Mutex<Vec<Rule>>,
    hooks: Mutex<Vec<Hook>>,
    log: Mutex<Vec<String>>,
    /// Bytes of requests and of answers, heads included.
    traffic: [AtomicUsize; 2],
    streams: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
}

pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    /// Serves on the next free address. apt runs one process per host, so repositories with the same address would also
    /// share their faults.
    pub fn start(site: Arc<Site>) -> Server {
        static SERVERS: AtomicUsize = AtomicUsize::new(0);
        let number = SERVERS.fetch_add(1, Ordering::Relaxed);
        let [high, low] =
            [number / 250, number % 250 + 1].map(|part| u8::try_from(part).expect("too many servers"));
        Server::start_at(site, Ipv4Addr::new(127, 77, high, low))
    }

    /// Serve on this address of this machine.
    pub fn start_at(site: Arc<Site>, address: Ipv4Addr) -> Server {
        let listener = TcpListener::bind((address, 0)).expect("could not listen on an address of our own");
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { site, ..Shared::default() });
        let ours = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ours.stopped.load(Ordering::SeqCst) {
                    return;
                }
                ours.streams.lock().unwrap().extend(stream.try_clone());
                let ours = ours.clone();
                thread::spawn(move || ours.serve(&stream));
            }
        });
        Server { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on misbehave for every path that holds `pattern`.
    pub fn fault(&self, pattern: &str, fault: Fault) {
        self.shared.faults.lock().unwrap().push((pattern.into(), fault));
    }

    /// From the `nth` request for such a path on misbehave.
    pub fn fault_from(&self, pattern: &str, nth: usize, fault: Fault) {
        let rule = (pattern.to_owned(), fault);
        self.change_before(pattern, nth, |faults| faults.push(rule));
    }

    /// Behave again.
    pub fn heal(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    /// Behave again just before the `nth` request for a path holding `pattern` is answered.
    pub fn heal_before(&self, pattern: &str, nth: usize) {
        self.change_before(pattern, nth, Vec::clear);
    }

    fn change_before(&self, pattern: &str, nth: usize, change: impl FnOnce(&mut Vec<Rule>) + Send + 'static) {
        // Weak, or the server would own itself through its own hook.
        let shared = Arc::downgrade(&self.shared);
        self.before(pattern, nth, move || {
            if let Some(shared) = shared.upgrade() {
                change(&mut shared.faults.lock().unwrap());
            }
        });
    }

    /// Run something just before the `nth` request from the start for a path holding `pattern` is answered.
    pub fn before(&self, pattern: &str, nth: usize, hook: impl FnOnce() + Send + 'static) {
        let hook: Hook = (pattern.into(), nth, Box::new(hook));
        self.shared.hooks.lock().unwrap().push(hook);
    }

    /// Do not answer the first request for a path holding `pattern` before the returned is dropped.
    pub fn hold_back(&self, pattern: &str) -> Sender<()> {
        let (keeper, kept) = mpsc::channel();
        self.before(pattern, 1, move || {
            let _ = kept.recv();
        });
        keeper
    }

    /// The same with the next request.
    #[allow(dead_code)] // For the random walk.
    pub fn hold_back_next(&self, pattern: &str) -> Sender<()> {
        let (keeper, kept) = mpsc::channel();
        self.before(pattern, self.requests(pattern) + 1, move || {
            let _ = kept.recv();
        });
        keeper
    }

    /// What was to be run before a request is not.
    #[allow(dead_code)] // For the random walk.
    pub fn forget_hooks(&self) {
        self.shared.hooks.lock().unwrap().clear();
    }

    /// How many requests there were for paths that hold `pattern`.
    pub fn requests(&self, pattern: &str) -> usize {
        let log = self.shared.log.lock().unwrap();
        log.iter().filter(|path| path.contains(pattern)).count()
    }
}

impl Server {
    /// How many bytes all requests had so far, and all answers.
    pub fn traffic(&self) -> (usize, usize) {
        let [asked, answered] = &self.shared.traffic;
        (asked.load(Ordering::SeqCst), answered.load(Ordering::SeqCst))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// The part of a request that matters here.
#[derive(Default)]
struct Request {
    path: String,
    bytes: usize,
    /// Whether only the head of the answer is wanted.
    is_head: bool,
    /// Whether no proxy may answer it with a copy.
    is_past_caches: bool,
    since: Option<String>,
    if_range: Option<String>,
    from: Option<usize>,
}

impl Request {
    fn read(reader: &mut impl BufRead) -> Option<Request> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let (path, is_head) = (line.split(' ').nth(1)?.to_owned(), line.starts_with("HEAD "));
        let mut request = Request { path, is_head, bytes: line.len(), ..Request::default() };
        loop {
            let mut line = String::new();
            request.bytes += reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                return Some(request);
            };
            match name.to_ascii_lowercase().as_str() {
                "if-modified-since" => request.since = Some(value.to_owned()),
                "cache-control" => request.is_past_caches = value == "no-cache",
                "if-range" => request.if_range = Some(value.to_owned()),
                "range" => {
                    let first = value.trim_start_matches("bytes=").trim_end_matches('-');
                    request.from = first.parse().ok();
                }
                _ => (),
            }
        }
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = Request::read(&mut reader) {
            self.traffic[0].fetch_add(request.bytes, Ordering::SeqCst);
            self.note(&request.path);
            let counted = Counted { stream, sent: &self.traffic[1] };
            if self.answer(counted, &request).is_none() {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }

    /// Write the request down and run the hooks it sets off.
    fn note(&self, path: &str) {
        let due = {
            let mut log = self.log.lock().unwrap();
            log.push(path.to_owned());
            let is_due = |(pattern, nth, _): &Hook| {
                path.contains(pattern) && log.iter().filter(|path| path.contains(pattern)).count() == *nth
            };
            let mut hooks = self.hooks.lock().unwrap();
            let (due, later) = std::mem::take(&mut *hooks).into_iter().partition::<Vec<_>, _>(is_due);
            *hooks = later;
            due
        };
        // Without holding the locks: a hook may take its time.
        for (_, _, run) in due {
            run();
        }
    }

    /// Nothing means: close the connection.
    fn answer(&self, mut stream: Counted, request: &Request) -> Option<()> {
        let (alias, rule) = {
            let faults = self.faults.lock().unwrap();
            let matching =
                faults.iter().filter(|(pattern, _)| request.path.contains(pattern.as_str())).cloned();
            let (aliases, others): (Vec<_>, Vec<_>) =
                matching.partition(|(_, fault)| matches!(fault, Fault::Alias(_)));
            (aliases.into_iter().next(), others.into_iter().next())
        };
        let fault = rule.as_ref().map(|(_, fault)| *fault);
        match fault {
            Some(Fault::Close) => return None,
            Some(Fault::Hang) => {
                self.sleep(Duration::MAX);
                return None;
            }
            Some(Fault::Status(code)) => return head(stream, code, 0, ""),
            Some(Fault::Cached) if !request.is_past_caches => return head(stream, 504, 0, ""),
            Some(Fault::Reason(code, words)) => return head_saying(stream, code, words, 0, ""),
            Some(Fault::Redirect(to)) => {
                let pattern = rule.map(|(pattern, _)| pattern).unwrap_or_default();
                let rest = request.path.split_once(&pattern).map_or("", |(_, rest)| rest);
                return head(stream, 302, 0, &format!("Location: {to}{rest}\r\n"));
            }
            Some(Fault::Late(time)) => thread::sleep(Duration::from_millis(time)),
            Some(Fault::Page) => {
                const PAGE: &str = "<html><title>Sign in</title>Who are you?</html>\n";
                head(stream, 200, PAGE.len(), "Content-Type: text/html\r\n")?;
                return if request.is_head { Some(()) } else { stream.write_all(PAGE.as_bytes()).ok() };
            }
            _ => (),
        }
        let path = match &alias {
            Some((pattern, Fault::Alias(to))) => {
                format!("{to}{}", request.path.split_once(pattern.as_str()).map_or("", |(_, rest)| rest))
            }
            _ => request.path.clone(),
        };
        let found = {
            let files = self.site.files.lock().unwrap();
            files.get(&path).map(|entry| (entry.bytes.clone(), entry.modified))
        };
        let Some((bytes, modified)) = found else {
            return head(stream, 404, 0, "");
        };
        let modified = modified.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let is_dated = !matches!(fault, Some(Fault::Undated));
        if is_dated && request.since.as_ref() == Some(&modified) {
            return head(stream, 304, 0, "");
        }
        let mut bytes = bytes.to_vec();
        match fault {
            Some(Fault::Flip) => *bytes.last_mut()? ^= 1,
            Some(Fault::Short) => bytes.truncate(bytes.len() / 2),
            Some(Fault::Long) => bytes.extend([0; 2000]),
            _ => (),
        }
        let last_modified = if is_dated { format!("Last-Modified: {modified}\r\n") } else { String::new() };
        let total = bytes.len();
        let same = request.if_range.is_none() || request.if_range.as_ref() == Some(&modified);
        let body = match request.from {
            Some(from) if same && from >= total => {
                return head(stream, 416, 0, &format!("Content-Range: bytes */{total}\r\n"));
            }
            Some(from) if same => {
                let range = format!("Content-Range: bytes {from}-{}/{total}\r\n{last_modified}", total - 1);
                head(stream, 206, total - from, &range)?;
                &bytes[from..]
            }
            _ => {
                head(stream, 200, total, &last_modified)?;
                &bytes[..]
            }
        };
        if request.is_head {
            return Some(());
        }
        match fault {
            Some(Fault::Cut) => {
                stream.write_all(&body[..body.len() / 2]).ok()?;
                None
            }
            Some(Fault::Trickle(rate)) => {
                // In small pieces, so that no client's time limit sees a silence.
                for chunk in body.chunks(rate.div_ceil(5)) {
                    stream.write_all(chunk).ok()?;
                    self.sleep(Duration::from_millis(200));
                }
                Some(())
            }
            _ => stream.write_all(body).ok(),
        }
    }

    fn sleep(&self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time && !self.stopped.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A text that lives as long as the tests do, for [`Fault::Redirect`].
#[allow(dead_code)] // Not every test that has this module needs it.
pub fn kept(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// A connection whose answers are counted.
#[derive(Clone, Copy)]
struct Counted<'a> {
    stream: &'a TcpStream,
    sent: &'a AtomicUsize,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.stream.write(bytes)?;
        self.sent.fetch_add(count, Ordering::SeqCst);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

fn head(stream: Counted, code: u16, length: usize, more: &str) -> Option<()> {
    head_saying(stream, code, "As told", length, more)
}

fn head_saying(mut stream: Counted, code: u16, words: &str, length: usize, more: &str) -> Option<()> {
    let text = format!("HTTP/1.1 {code} {words}\r\nContent-Length: {length}\r\n{more}\r\n");
    stream.write_all(text.as_bytes()).ok()
}
