//! A bucket of an S3-compatible service, for pieces that do not fit on a machine or are shared by several.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryFutureExt;
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Plain;
use hyper_util::rt::TokioExecutor;
use object_store::aws::AmazonS3Builder;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use crate::config::{ConfigError, S3};
use crate::registration::driver;
use crate::trust;

/// How long the head of an answer may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request is repeated that fails for a reason that passes: nodes wait twenty seconds.
const RETRY: Duration = Duration::from_secs(12);

/// # Errors
/// [`ConfigError`]: the secret or the certificate cannot be read, or the address is none.
pub(crate) fn open(config: &S3) -> Result<Arc<dyn ObjectStore>, ConfigError> {
    let unusable = |why: String| ConfigError::Unusable(format!("blobs.s3: {why}").into());
    let secret = driver::secret(Some(&config.secret_file))?;
    let client = client(config.ca_file.as_deref()).map_err(unusable)?;
    let retry = RetryConfig { max_retries: 3, retry_timeout: RETRY, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&config.bucket)
        .with_region(&config.region)
        .with_access_key_id(&config.key_id)
        .with_secret_access_key(secret.as_str())
        // A path that names the bucket is understood by all makes.
        .with_virtual_hosted_style_request(false)
        .with_http_connector(Own(client))
        .with_retry(retry);
    if let Some(endpoint) = &config.endpoint {
        let options = ClientOptions::new().with_allow_http(endpoint.starts_with("http://"));
        builder = builder.with_client_options(options).with_endpoint(endpoint);
    }
    Ok(Arc::new(builder.build().map_err(|error| unusable(error.to_string()))?))
}

type Hyper = Client<HttpsConnector<Plain>, HttpRequestBody>;

/// `object_store` brings a client with another library for TLS than everything else here has.
fn client(authority: Option<&Path>) -> Result<Hyper, String> {
    let ring = rustls::crypto::ring::default_provider();
    let trusting = match authority {
        Some(authority) => HttpsConnectorBuilder::new().with_tls_config(trust::only(authority)?),
        None => HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(ring)
            .map_err(|error| format!("no certificates of this machine: {error}"))?,
    };
    let connector = trusting.https_or_http().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

#[derive(Clone, Debug)]
struct Own(Hyper);

impl HttpConnector for Own {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Own {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.0.request(request).map_err(|error| {
            let kind = match error.is_connect() {
                true => HttpErrorKind::Connect,
                false => HttpErrorKind::Request,
            };
            HttpError::new(kind, error)
        });
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, answer);
        let answer =
            answer.await.map_err(|late| HttpError::new(HttpErrorKind::Timeout, late))??;
        Ok(answer.map(|body| {
            let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error));
            HttpResponseBody::new(body)
        }))
    }
}
