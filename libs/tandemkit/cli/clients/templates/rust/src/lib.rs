//! Calls the agents of a Tandem fleet over its edge: tonic speaks no xDS.
//!
//! Why a call failed stands in its status: `tonic_types::StatusExt::get_error_details`.

use std::time::Duration;

use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Error};

pub use tonic;
pub use tonic_types;

mod contracts {
    #![allow(clippy::all, rustdoc::all)]
    include!(concat!(env!("OUT_DIR"), "/contracts.rs"));
}

mod token;

pub use contracts::tandem::*;
pub use token::Bearer;

/// What a client is made with: a channel whose calls show the fleet's token.
pub type Fleet = InterceptedService<Channel, Bearer>;

/// How a channel of ours is: a dead link shows within 3 s, also while nothing is called.
pub fn endpoint(address: &str) -> Result<Endpoint, Error> {
    let named = if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    };
    Ok(Endpoint::from_shared(named)?
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(2))
        .keep_alive_timeout(Duration::from_secs(1))
        .keep_alive_while_idle(true))
}

/// Opens a channel to one plain address, `host:port`: the fleet's edge, or one host. Open it once;
/// a clone is cheap and serves every agent. For TLS, change what `endpoint` gives, and wrap the
/// channel as is done here.
pub async fn dial(address: &str) -> Result<Fleet, Error> {
    let channel = endpoint(address)?.connect().await?;
    Ok(InterceptedService::new(channel, Bearer::default()))
}
