//! An S3-compatible service over a folder, which checks who asks.

use std::path::PathBuf;
use std::sync::Arc;

use bootstrap::Config;
use bootstrap::config::{BlobPlace, S3};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use s3s::auth::SimpleAuth;
use s3s::service::{S3ServiceBuilder, SharedS3Service};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const BUCKET: &str = "kith";
const KEY: &str = "a relay";
pub(crate) const SECRET: &str = "the secret of its key";

pub(crate) struct Service {
    dir: TempDir,
    endpoint: String,
    serving: JoinSet<()>,
}

impl Service {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(dir.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, builder.build().into_shared()));
        Self { dir, endpoint, serving }
    }

    /// The same behind TLS, and the certificate by which it is known.
    pub(crate) async fn encrypted() -> (Self, PathBuf) {
        let mut service = Self::start().await;
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let authority = service.dir.path().join("ca.pem");
        std::fs::write(&authority, made.cert.pem()).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.key_pair.serialize_der());
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("https://{}", listener.local_addr().unwrap());
        let behind = std::mem::replace(&mut service.endpoint, at);
        let behind = behind.trim_start_matches("http://").to_owned();
        service.serving.spawn(encrypt(listener, TlsAcceptor::from(Arc::new(config)), behind));
        (service, authority)
    }

    /// A relay that keeps files here.
    pub(crate) fn keep(&self, config: &mut Config) {
        config.blobs.place = BlobPlace::S3;
        config.blobs.s3 = Some(self.as_told(SECRET));
    }

    /// What the configuration says of it, with this secret.
    pub(crate) fn as_told(&self, secret: &str) -> S3 {
        let secret_file = self.dir.path().join("secret");
        std::fs::write(&secret_file, format!("{secret}\n")).unwrap();
        S3 {
            endpoint: Some(self.endpoint.clone()),
            region: "us-east-1".into(),
            bucket: BUCKET.into(),
            key_id: KEY.into(),
            secret_file,
            ca_file: None,
        }
    }

    /// Where its objects are.
    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.path().join(BUCKET)
    }
}

async fn serve(listener: TcpListener, service: SharedS3Service) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let served = http1::Builder::new().serve_connection(TokioIo::new(socket), service.clone());
        connections.spawn(async {
            let _ = served.await;
        });
    }
}

async fn encrypt(listener: TcpListener, acceptor: TlsAcceptor, behind: String) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (accepted, behind) = (acceptor.accept(socket), behind.clone());
        connections.spawn(async move {
            // Whoever does not trust the certificate goes away.
            let Ok(mut outside) = accepted.await else { return };
            let mut inside = TcpStream::connect(behind).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
        });
    }
}
