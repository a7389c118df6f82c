//! Calls one agent: `cargo run --example call HOST:PORT`.

use @@crate@@::@@path@@::{@@client_path@@, @@request@@};
use @@crate@@::tonic_types::StatusExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: call HOST:PORT")?;
    let mut agent = @@client@@::new(@@crate@@::dial(&address).await?);
    let mut request = @@crate@@::tonic::Request::new(@@request@@ { @@fields@@ });
    request.set_timeout(std::time::Duration::from_secs(10));
    match agent.@@method@@(request).await {
        Ok(answer) => println!("{:?}", answer.into_inner()),
        Err(status) => println!("{status} {:?}", status.get_error_details()),
    }
    Ok(())
}
