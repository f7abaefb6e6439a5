//! Certificates for servers and clients, made anew for each test by `openssl`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::free_port;
use crate::{RedisTls, testing::Folder};

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
/// Signed yesterday, for no day at all.
const OVER: &str = "-1";

/// An authority, and what it has signed: a server's certificate for this machine's loopback address and name, a
/// client's, and one of each that has expired.
pub struct Certificates {
    folder: Folder,
}

impl Certificates {
    /// Makes them.
    ///
    /// # Panics
    /// If `openssl` is not installed: these tests are not skipped.
    pub fn new() -> Self {
        let certificates = Self { folder: Folder::new() };
        certificates.openssl(&format!("req -x509 {KEY} -days 2 -subj /CN=authority -keyout ca.key -out ca.crt"));
        fs::write(certificates.path("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").expect("it is our folder");
        fs::write(certificates.path("elsewhere"), "subjectAltName=DNS:elsewhere\n").expect("it is our folder");
        for (name, names, days) in [
            ("server", "names", "2"),
            ("client", "names", "2"),
            ("expired-server", "names", OVER),
            ("expired-client", "names", OVER),
            ("other-server", "elsewhere", "2"),
        ] {
            certificates.openssl(&format!("req {KEY} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
            let signing = format!("-CA ca.crt -CAkey ca.key -CAcreateserial -days {days} -extfile {names}");
            certificates.openssl(&format!("x509 -req -in {name}.csr {signing} -out {name}.crt"));
        }
        certificates
    }

    fn openssl(&self, line: &str) {
        let output = Command::new("openssl").args(line.split(' ')).current_dir(self.folder.path()).output();
        let output = output.expect("openssl is installed; install it: apt install openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// One of the files: `ca.crt`, or a `.crt` or `.key` of `server`, `client`, `expired-server`, `expired-client` and
    /// `other-server` (whose name is `elsewhere`).
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a node needs that shows its own certificate.
    pub fn of_client(&self) -> RedisTls {
        RedisTls {
            authority_file: Some(self.path("ca.crt")),
            certificate_file: Some(self.path("client.crt")),
            key_file: Some(self.path("client.key")),
        }
    }

    /// Arguments of a server that speaks TLS on a port of its own, beside the usual port. Whom it connects to by itself
    /// (a primary, a sentinel, a node of the cluster) it connects to by TLS.
    pub fn arguments(&self, name: &str, asks_clients: bool) -> Vec<String> {
        let port = free_port().to_string();
        let path = |name: &str| self.path(name).to_string_lossy().into_owned();
        let (certificate, key) = (path(&format!("{name}.crt")), path(&format!("{name}.key")));
        let asks = if asks_clients { "yes" } else { "no" };
        let arguments = [
            ["--tls-port", &port],
            ["--tls-cert-file", &certificate],
            ["--tls-key-file", &key],
            ["--tls-ca-cert-file", &path("ca.crt")],
            ["--tls-auth-clients", asks],
            ["--tls-replication", "yes"],
        ];
        arguments.as_flattened().iter().map(ToString::to_string).collect()
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

/// Arguments as lines of a configuration file.
pub(super) fn lines_of(arguments: &[String]) -> String {
    let line = |pair: &[String]| format!("{} {}", pair[0].trim_start_matches("--"), pair[1..].join(" "));
    arguments.chunks(2).map(line).collect::<Vec<_>>().join("\n") + "\n"
}

/// The TLS port among arguments or in the configuration file that they begin with.
pub(super) fn tls_port(arguments: &[String]) -> Option<u16> {
    let text = match arguments.first() {
        Some(file) if !file.starts_with("--") => fs::read_to_string(Path::new(file)).ok()?,
        _ => lines_of_flags(arguments),
    };
    text.lines().find_map(|line| line.strip_prefix("tls-port ")?.trim().parse().ok())
}

/// Arguments need not come in pairs: only the flag that is looked for does.
fn lines_of_flags(arguments: &[String]) -> String {
    let pairs = arguments.windows(2).filter(|pair| pair[0].starts_with("--"));
    let line = |pair: &[String]| format!("{} {}", pair[0].trim_start_matches("--"), pair[1]);
    pairs.map(line).collect::<Vec<_>>().join("\n")
}
