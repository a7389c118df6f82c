//! Turns the contracts, which come compiled, into Rust. No protoc is needed.

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=contracts.binpb");
    let contracts = prost_types::FileDescriptorSet::decode(&*std::fs::read("contracts.binpb")?)?;
    tonic_prost_build::configure()
        .build_server(false)
        .include_file("contracts.rs")
        .compile_fds(contracts)?;
    Ok(())
}
