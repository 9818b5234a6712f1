//! `cargo xtask conformance`: the Autobahn cases against the echo application, over TCP and over HTTP/2.
//!
//! The cases are run by kosoku, which speaks HTTP/1.1 only; for HTTP/2 HAProxy stands in between. What each case has to
//! report is in `xtask/conformance/expectations`, what it did report under `target/conformance`.

mod closes;
mod expectations;

use std::{
    collections::HashMap,
    fmt::Display,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use self::expectations::{Expectations, Outcomes};
use crate::{
    cargo::{cargo, release_binary, root, target_dir},
    programs,
    proxy::{HAPROXY, HTTP2_TO_SERVER, Proxy},
    python,
    server::Server,
    steps::{Result, Steps, execute, execute_within},
};

/// Half a minute over TCP; minutes with the long cases.
const WITHIN: Duration = Duration::from_secs(1800);

/// The cases of compression that take long: a thousand messages each, of 4 KiB and more, or of many fragments.
const LONG: [usize; 13] = [5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18];

/// Which cases are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cases {
    /// Without the long ones.
    Quick,
    All,
}

/// Looks for the programs it needs, then runs the cases.
pub(crate) fn run(steps: &mut Steps, cases: Cases) -> Option<()> {
    steps.run("programs", || programs::check(programs::CONFORMANCE))?;
    try_cases(steps, cases)
}

/// Runs the cases over TCP, then over HTTP/2, also after one that failed.
pub(crate) fn try_cases(steps: &mut Steps, cases: Cases) -> Option<()> {
    let python = steps.run("conformance: kosoku", || {
        python::venv("conformance", &conformance_dir())
    })?;
    let expectations = steps.run("conformance: expectations", || {
        Expectations::read(&conformance_dir().join("expectations"))
    })?;
    let server = start_server(steps)?;

    let tcp = steps.run("conformance: TCP", || {
        let report = Report::new(&python, "tcp", cases)?;
        report.run_cases(server.authority()?)?;
        report.judge("TCP", &expectations)
    });
    let proxy = steps.run("start haproxy", || {
        let edits = [HTTP2_TO_SERVER];
        Proxy::start(&HAPROXY, "conformance", server.authority()?, &edits)
    })?;
    let http2 = steps.run("conformance: HTTP/2", || {
        let report = Report::new(&python, "http2", cases)?;
        report.run_cases(&proxy.authority)?;
        report.judge("HTTP/2", &expectations)
    });
    let closes = steps.run("conformance: HTTP/2: sixty closes", || {
        closes::sixty_in_a_row(&proxy.authority)
    });
    tcp.and(http2).and(closes)
}

/// Builds and starts the echo application as the cases want it; the large ones take too long without optimisation.
fn start_server(steps: &mut Steps) -> Option<Server> {
    steps.run("build echo-server (release)", || {
        execute(&mut cargo("build --release --package echo-server"))
    })?;
    steps.run("start echo-server", || {
        Server::start(Command::new(release_binary("echo-server")?).args([
            "--listen",
            "127.0.0.1:0",
            "--path",
            "/",
            "--max-message-size",
            "16MiB",
            "--compression",
            "on",
        ]))
    })
}

/// One run of the cases and what it wrote.
#[derive(Debug)]
struct Report<'a> {
    python: &'a Path,
    dir: PathBuf,
    cases: Cases,
}

impl<'a> Report<'a> {
    fn new(python: &'a Path, transport: &str, cases: Cases) -> Result<Self> {
        let dir = target_dir()?.join("conformance").join(transport);
        // What an earlier run has left must not be taken for this one's.
        if dir.exists() {
            fs::remove_dir_all(&dir)
                .map_err(|error| format!("cannot remove {}: {error}", dir.display()))?;
        }
        fs::create_dir_all(&dir)
            .map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
        Ok(Self { python, dir, cases })
    }

    fn run_cases(&self, authority: &str) -> Result {
        let log = self.dir.join("kosoku.log");
        let failed = |error| format!("cannot write {}: {error}", log.display());
        let stdout = File::create(&log).map_err(failed)?;
        let stderr = stdout.try_clone().map_err(failed)?;

        let ended = execute_within(
            WITHIN,
            Command::new(self.python)
                .arg(conformance_dir().join("run.py"))
                .args(self.left_out())
                .arg("--outdir")
                .arg(&self.dir)
                .arg(authority)
                .stdin(Stdio::null())
                .stdout(stdout)
                .stderr(stderr),
        );
        // It ends with an error for a case that is unimplemented, too. The report, which it writes last, tells them apart.
        if self.index().is_file() {
            return Ok(());
        }
        ended
            .and_then(|()| Err("kosoku ended without a report".to_owned()))
            .map_err(|error| format!("{error}; see {}", log.display()))
    }

    fn left_out(&self) -> Vec<String> {
        if self.cases == Cases::All {
            return Vec::new();
        }
        let long = LONG
            .iter()
            .flat_map(|case| [12, 13].map(|class| (class, case)));
        long.map(|(class, case)| format!("--exclude={class}.*.{case}"))
            .collect()
    }

    fn judge(&self, transport: &str, expectations: &Expectations) -> Result {
        let verdict = expectations.judge(&self.outcomes()?, self.cases);
        println!("conformance ({transport}): {verdict}");
        if verdict.problems.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{verdict}\n  {}\nthe report is {}",
            verdict.problems.join("\n  "),
            self.dir.join("index.html").display()
        ))
    }

    /// The reports of all cases of the one agent.
    fn outcomes(&self) -> Result<Outcomes> {
        let index = self.index();
        let failed = |error: &dyn Display| format!("{}: {error}", index.display());
        let text = fs::read(&index).map_err(|error| failed(&error))?;
        let agents: HashMap<String, Outcomes> =
            serde_json::from_slice(&text).map_err(|error| failed(&error))?;
        Ok(agents.into_values().flatten().collect())
    }

    fn index(&self) -> PathBuf {
        self.dir.join("index.json")
    }
}

fn conformance_dir() -> PathBuf {
    root().join("xtask/conformance")
}
