use super::canary::Canary;
use super::endpoints::Endpoints;
use super::health_status::HealthStatus;
use super::watch::Watch;
use crate::layer::MetricsLayer;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// The health of a process, endpoint by endpoint.
///
/// Returned by [`StatusServer::health`](super::StatusServer::health). Clones share one health. Any
/// thread may change it at any time, and the next `/health` reports the change.
///
/// - While no endpoint is set, the process has the starting status.
/// - Otherwise the process is ready if every endpoint is ready.
/// - A process that [drains](Self::drain) is not ready.
///
/// An endpoint has the status that it was [set](Self::set) to. A [watched](Self::watch) one is ready only while its
/// calls complete.
///
/// A process with several endpoints first [watches](Self::watch) each one, or sets it to
/// [`NotReady`](HealthStatus::NotReady). Otherwise the process would be ready as soon as the first endpoint is.
#[derive(Clone, Debug)]
pub struct Health {
    endpoints: Arc<Mutex<Endpoints>>,
}

// === impl Health ===

impl Health {
    pub(super) fn new(starting: HealthStatus) -> Self {
        Self {
            endpoints: Arc::new(Mutex::new(Endpoints::new(starting))),
        }
    }

    /// Sets the status of `endpoint`. Any name will do.
    ///
    /// A watch of the endpoint goes on. Set to [`NotReady`](HealthStatus::NotReady), the endpoint is not ready whatever
    /// its calls do.
    pub fn set(&self, endpoint: impl Into<String>, status: HealthStatus) {
        let endpoint = endpoint.into();
        self.lock().get_or_insert(endpoint).status = status;
    }

    /// Removes `endpoint`, ends its watch, and returns its status, or `None` if it was not set.
    pub fn remove(&self, endpoint: &str) -> Option<HealthStatus> {
        // Dropped without the lock, as it owns a layer's numbers.
        let removed = self.lock().by_name.remove(endpoint)?;
        Some(removed.check().0)
    }

    /// Returns the status of `endpoint`, or `None` if it is not set.
    pub fn get(&self, endpoint: &str) -> Option<HealthStatus> {
        Some(self.lock().by_name.get(endpoint)?.check().0)
    }

    /// Returns the status of the process, as `/health` reports it.
    pub fn status(&self) -> HealthStatus {
        self.lock().check().0
    }

    /// Makes `endpoint` ready while the calls of `layer` complete.
    ///
    /// A call that completes proves that the endpoint works. Failures and cancellations prove nothing. If no call
    /// completes within the [idle time](Canary::idle), the probe is sent. If that fails, panics, or exceeds its
    /// [timeout](Canary::timeout), the endpoint is not ready, and `/health` says why. The next call that completes, or
    /// the next probe that succeeds, makes it ready again.
    ///
    /// At the start, the endpoint is not ready until its first success. The first probe is sent at once. The endpoint
    /// need not be [set](Self::set). If it is set to [`NotReady`](HealthStatus::NotReady), it stays not ready until it is set
    /// to [`Ready`](HealthStatus::Ready).
    ///
    /// Watching costs calls nothing, because it reads what the layer counts anyway. The watch ends when the endpoint is
    /// [removed](Self::remove), when the process [drains](Self::drain), and when the last handle to this health is
    /// dropped. A second watch of the same endpoint replaces the first; to watch two layers, name two endpoints. A dropped
    /// layer is still watched, because its services may still be called.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower::{Layer, ServiceExt, service_fn};
    /// use tower_openmetrics::MetricsLayer;
    /// use tower_openmetrics::server::{Canary, StatusServer};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let model = service_fn(async |prompt: String| Ok::<_, &str>(format!("You said: {prompt}")));
    /// let metrics = MetricsLayer::unary([("endpoint", "generate")]);
    /// let service = metrics.layer(model);
    ///
    /// // Calls the model without the layer, so that probes are not counted.
    /// let canary = Canary::new(move || async move {
    ///     let answer = model.oneshot("hello".to_owned()).await?;
    ///     if answer.is_empty() { Err("an empty answer") } else { Ok(()) }
    /// });
    /// let server = StatusServer::new().host("127.0.0.1");
    /// server.health().watch("generate", &metrics, canary.idle(Duration::from_secs(30)));
    ///
    /// // `/health` is 503 until the first probe has succeeded.
    /// let server = server.bind(metrics.exporter()).await?.spawn();
    /// # let health = server.health();
    /// # while health.status() != tower_openmetrics::server::HealthStatus::Ready { tokio::task::yield_now().await }
    /// # service.oneshot("hello".to_owned()).await?;
    /// # server.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime. The runtime needs time enabled.
    pub fn watch<P>(&self, endpoint: impl Into<String>, layer: &MetricsLayer<P>, canary: Canary) {
        let endpoint = endpoint.into();
        let watch = Watch::spawn(Arc::clone(&layer.endpoint().recorder), canary);
        let mut endpoints = self.lock();
        let unused = match endpoints.draining {
            true => Some(watch),
            false => endpoints.get_or_insert(endpoint).watch.replace(watch),
        };
        drop(endpoints);
        drop(unused);
    }

    /// Makes the process not ready, for good. Returns a future that completes after `pause`.
    ///
    /// Call it when the process is asked to stop. `/health` is 503 from now on, even if the future is never polled. During
    /// the pause, load balancers notice that and send their calls elsewhere, so it should last for some periods of
    /// their readiness probe. Then stop accepting, finish the calls in flight, and stop the status server last. All
    /// watches end.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use std::error::Error;
    /// use std::time::Duration;
    /// use tokio::net::TcpListener;
    /// use tower_openmetrics::MetricsLayer;
    /// use tower_openmetrics::server::{HealthStatus, StatusServer};
    ///
    /// async fn run(asked_to_stop: impl Future<Output = ()> + Send + 'static) -> Result<(), Box<dyn Error>> {
    ///     let metrics = MetricsLayer::new([("endpoint", "shop")]);
    ///     let app: Router = Router::new().route("/", get(async || "hello")).layer(metrics.clone());
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let status = StatusServer::new().host("127.0.0.1").bind(metrics.exporter()).await?.spawn();
    ///
    ///     let health = status.health();
    ///     health.set("shop", HealthStatus::Ready);
    ///     axum::serve(listener, app)
    ///         .with_graceful_shutdown(async move {
    ///             asked_to_stop.await;
    ///             health.drain(Duration::from_secs(5)).await;
    ///         })
    ///         .await?;
    ///     status.shutdown().await;
    ///     Ok(())
    /// }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn Error>> {
    /// #     run(std::future::ready(())).await
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// The future panics when it is polled outside of a tokio runtime with time enabled.
    pub fn drain(&self, pause: Duration) -> impl Future<Output = ()> + Send + use<> {
        let mut endpoints = self.lock();
        endpoints.draining = true;
        // Dropped without the lock, as they own layers' numbers.
        let watched = endpoints.by_name.values_mut();
        let watches: Vec<_> = watched.map(|endpoint| endpoint.watch.take()).collect();
        drop(endpoints);
        drop(watches);
        async move { sleep(pause).await }
    }

    pub(super) fn set_starting(&self, status: HealthStatus) {
        self.lock().starting = status;
    }

    /// Returns the status of the process and the JSON of `/health`, both of one moment.
    pub(super) fn report(&self, uptime: Duration) -> (HealthStatus, String) {
        self.lock().report(uptime)
    }

    fn lock(&self) -> MutexGuard<'_, Endpoints> {
        // A poisoned lock is fine: no panic leaves the endpoints half changed.
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HealthStatus::{NotReady, Ready};

    #[test]
    fn without_endpoints_the_process_has_the_starting_status() {
        for starting in [Ready, NotReady] {
            let health = Health::new(starting);
            assert_eq!(health.status(), starting);
            health.set("a", NotReady);
            assert_eq!(health.status(), NotReady);
            health.set("a", Ready);
            assert_eq!(health.status(), Ready);
            assert_eq!(health.remove("a"), Some(Ready));
            assert_eq!(health.remove("a"), None);
            assert_eq!(health.status(), starting);
        }
    }

    #[test]
    fn the_process_is_ready_if_every_endpoint_is() {
        let health = Health::new(Ready);
        health.set("a", Ready);
        health.set("b", NotReady);
        assert_eq!(health.status(), NotReady);
        assert_eq!(health.get("a"), Some(Ready));
        health.clone().set("b", Ready);
        assert_eq!(health.status(), Ready);
    }
}
