//! Servers of others that the relay uses, as processes of their own with a certificate of their own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

pub(crate) struct StandIn {
    child: Child,
    said: BufReader<ChildStdout>,
    folder: TempDir,
    pub(crate) port: u16,
}

impl StandIn {
    /// Starts a script of this folder with what it is told before and after its certificate and key.
    pub(crate) fn start(script: &str, before: &[&str], after: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let CertifiedKey { cert, key_pair } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut child = {
            let file = |name: &str, text: &str| {
                std::fs::write(folder.path().join(name), text).unwrap();
                folder.path().join(name)
            };
            file("secret", "secret\n");
            file("wrong", "another\n");
            let (cert, key) = (file("ca.pem", &cert.pem()), file("key", &key_pair.serialize_pem()));
            Command::new("/usr/bin/python3")
                .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/relay").join(script))
                .args(before)
                .args([cert, key])
                .args(after)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("python3 of Debian's packages")
        };
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        said.read_line(&mut port).unwrap();
        let port = port.trim().parse().expect("a port: is python3-aiosmtpd installed?");
        Self { child, said, folder, port }
    }

    /// A file of its folder: `ca.pem`, `secret`, `wrong`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it was handed next.
    pub(crate) fn taken<T: DeserializeOwned>(&mut self) -> T {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect("what it took")
    }

    /// Ends it, and returns what it was handed besides.
    pub(crate) fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.said.read_line(&mut rest).unwrap();
        rest
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
