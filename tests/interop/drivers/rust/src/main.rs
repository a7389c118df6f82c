//! Makes the calls that a test asks for and counts how they end: see ../README.md.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tandem_client::tonic::metadata::{Ascii, MetadataKey};
use tandem_client::tonic::{Request, Status};
use tandem_client::tonic_types::StatusExt;
use tandem_client::utility::v1::toolbox_service_client::ToolboxServiceClient;
use tandem_client::utility::v1::{ConvertQuantityRequest, MeasureTextRequest, Quantity};
use tokio::task::JoinSet;

const TOLD_EVERY: u32 = 50;

#[derive(Deserialize)]
struct Calls {
    address: String,
    count: u32,
    at_once: usize,
    pause_ms: u64,
    headers: BTreeMap<String, String>,
    refused: bool,
}

#[derive(Default, Serialize)]
struct Outcome {
    answers: BTreeMap<String, u32>,
    failures: BTreeMap<String, u32>,
    slowest_s: f64,
    last_failure: String,
}

#[derive(Serialize)]
struct Refusal {
    code: String,
    reason: String,
    domain: String,
    fields: Vec<String>,
}

type Agent = ToolboxServiceClient<tandem_client::Fleet>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let asked: Calls = serde_json::from_str(&std::env::args().nth(1).ok_or("no calls")?)?;
    let agent = ToolboxServiceClient::new(tandem_client::dial(&asked.address).await?);
    let told = if asked.refused {
        serde_json::to_string(&refusal(agent).await?)?
    } else {
        serde_json::to_string(&run(agent, asked).await?)?
    };
    println!("{told}");
    Ok(())
}

async fn run(agent: Agent, asked: Calls) -> Result<Outcome, Box<dyn Error>> {
    let asked = Arc::new(asked);
    let outcome = Arc::new(Mutex::new(Outcome::default()));
    let turns = Arc::new(AtomicU32::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..asked.at_once {
        let (mut agent, asked) = (agent.clone(), asked.clone());
        let (outcome, turns) = (outcome.clone(), turns.clone());
        callers.spawn(async move {
            while turns.fetch_add(1, Ordering::Relaxed) < asked.count {
                let started = Instant::now();
                let answered = once(&mut agent, &asked.headers).await;
                let took_s = started.elapsed().as_secs_f64();
                outcome.lock().unwrap().add(&asked.address, answered, took_s);
                tokio::time::sleep(Duration::from_millis(asked.pause_ms)).await;
            }
        });
    }
    callers.join_all().await;
    let outcome = Arc::into_inner(outcome).ok_or("a caller is still there")?;
    Ok(outcome.into_inner()?)
}

impl Outcome {
    fn add(&mut self, address: &str, answered: Result<(), Status>, took_s: f64) {
        self.slowest_s = self.slowest_s.max(took_s);
        match answered {
            Ok(()) => *self.answers.entry(address.to_owned()).or_default() += 1,
            Err(status) => {
                *self.failures.entry(name(&status)).or_default() += 1;
                self.last_failure = status.to_string();
            }
        }
        let made: u32 = self.answers.values().chain(self.failures.values()).sum();
        if made % TOLD_EVERY == 0 {
            println!("{{\"made\": {made}}}");
        }
    }
}

async fn once(agent: &mut Agent, headers: &BTreeMap<String, String>) -> Result<(), Status> {
    let mut request = Request::new(MeasureTextRequest { text: "hello".into() });
    for (name, value) in headers {
        let name: MetadataKey<Ascii> = name.parse().expect("a header's name");
        request.metadata_mut().insert(name, value.parse().expect("a header's value"));
    }
    match agent.measure_text(request).await?.into_inner().code_points {
        5 => Ok(()),
        other => Err(Status::unknown(format!("wrong answer: {other}"))),
    }
}

async fn refusal(mut agent: Agent) -> Result<Refusal, Box<dyn Error>> {
    let quantity = Quantity { value: 26.2, unit: "mile".into() };
    let request = ConvertQuantityRequest { quantity: Some(quantity), ..Default::default() };
    let status = agent.convert_quantity(request).await.err().ok_or("it was answered")?;
    let why = status.get_details_error_info().ok_or("no ErrorInfo")?;
    let broken = status.get_details_bad_request().ok_or("no BadRequest")?;
    Ok(Refusal {
        code: name(&status),
        reason: why.reason,
        domain: why.domain,
        fields: broken.field_violations.into_iter().map(|one| one.field).collect(),
    })
}

/// As gRPC spells it: INVALID_ARGUMENT.
fn name(status: &Status) -> String {
    let mut spelt = String::new();
    for letter in format!("{:?}", status.code()).chars() {
        if letter.is_uppercase() && !spelt.is_empty() {
            spelt.push('_');
        }
        spelt.push(letter.to_ascii_uppercase());
    }
    spelt
}
