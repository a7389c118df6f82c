use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// A fleet takes the token before for a while, so a new one need not be seen at once.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(5);

type Value = MetadataValue<Ascii>;

/// Shows the fleet's token with every call: what the file holds that TANDEM_TOKEN_FILE names.
/// Without that variable calls show nothing, which is enough for a fleet that is open.
#[derive(Clone, Default)]
pub struct Bearer {
    read: Arc<Mutex<Option<(Instant, Value)>>>,
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(file) = std::env::var_os("TANDEM_TOKEN_FILE").filter(|file| !file.is_empty()) {
            let value = self.value(&file).map_err(|why| {
                Status::unauthenticated(format!("tandem: no token from {file:?}: {why}"))
            })?;
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

impl Bearer {
    fn value(&self, file: &std::ffi::OsStr) -> Result<Value, Box<dyn std::error::Error>> {
        let mut read = self.read.lock().map_err(|_| "a thread failed while it was read")?;
        if let Some((_, value)) = read.as_ref().filter(|(at, _)| at.elapsed() < LOOK_AGAIN_AFTER) {
            return Ok(value.clone());
        }
        let mut value: Value = format!("Bearer {}", std::fs::read_to_string(file)?.trim()).parse()?;
        value.set_sensitive(true);
        *read = Some((Instant::now(), value.clone()));
        Ok(value)
    }
}
