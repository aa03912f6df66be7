//! What a page of 50 costs in a small installation and in a large one: calls, read units and time, in one run.
//!
//! ```text
//! cargo bench --profile dev -p gatehouse-tests --bench scale
//! ```
//!
//! The rules of the domain read the embedded table. Calls and units are those that DynamoDB counts; of the times, only
//! the ratio of the two sizes means something.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use gatehouse_domain::{
    audit::{self, AuditQuery},
    caller::Caller,
    catalog::{self, Service, ServiceQuery},
    clock::Clock as _,
    jobs,
    operations::{self, OperationQuery, OperationStatus},
    paging::PageRequest,
};
use gatehouse_store::Table;
use gatehouse_testkit::app::{Meter, TestTable, callers, catalog as records};

/// How often each page is read; the median time counts.
const ROUNDS: usize = 40;

/// How much there is of everything.
#[derive(Clone, Copy)]
struct Size {
    services: usize,
    jobs: usize,
    operations: usize,
}

const SIZES: [Size; 2] = [
    Size { services: 100, jobs: 250, operations: 500 },
    Size { services: 2_000, jobs: 5_000, operations: 10_000 },
];

/// Tenants take turns, so that the lists of one are a part of the lists of all.
const TENANTS: [&str; 4] = ["acme", "beta", "gamma", "delta"];

fn main() -> ExitCode {
    // `cargo test` builds and runs benchmarks too, and wants no numbers.
    if std::env::args().any(|argument| argument == "--bench") {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(compare());
    }
    ExitCode::SUCCESS
}

async fn compare() {
    let mut measured = Vec::new();
    for size in SIZES {
        eprintln!("{} services, {} jobs, {} operations", size.services, size.jobs, size.operations);
        let (table, services) = filled(size).await;
        measured.push(measure(&table, &services).await);
    }
    println!("| Page | Items | Calls | Read units | Time | Ratio of the times |");
    println!("|---|--:|--:|--:|--:|--:|");
    for (small, large) in measured[0].iter().zip(&measured[1]) {
        let [few, many] = [small, large].map(|page| page.time.as_secs_f64() * 1e3);
        println!(
            "| {} | {}, {} | {}, {} | {:.1}, {:.1} | {few:.1} ms, {many:.1} ms | {:.2} |",
            small.name,
            small.items,
            large.items,
            small.calls,
            large.calls,
            small.units,
            large.units,
            many / few,
        );
    }
}

/// A table with so much in it, and its services.
async fn filled(size: Size) -> (TestTable, Vec<Service>) {
    let table = TestTable::new().await;
    let tenant = |number: usize| TENANTS[number % TENANTS.len()];
    for name in TENANTS {
        table.save_project(name, &format!("project-{name}"), None).await;
    }
    for number in 0..size.jobs {
        let (caller, project) = (callers::tenant_key(tenant(number)), format!("project-{}", tenant(number)));
        table.save_job_as(&caller, &format!("job-{number}"), &project).await;
    }
    let mut services = Vec::new();
    for number in 0..size.services {
        services.push(records::saved(&table, tenant(number), &format!("service-{number}")).await);
    }
    for number in 0..size.operations {
        let service = &services[number % services.len()];
        let operation = records::begun(&table, service, "dev").await;
        // The last one of every tenth service stays open.
        if number + services.len() < size.operations || !number.is_multiple_of(10) {
            records::end(&table, &operation, &records::present(&table, &operation)).await;
        }
        table.system.advance(Duration::from_secs(1));
    }
    (table, services)
}

/// What a page costs.
struct Measured {
    name: &'static str,
    items: usize,
    calls: usize,
    units: f64,
    time: Duration,
}

struct Bench<'a> {
    table: &'a TestTable,
    store: Table,
    meter: Meter,
    measured: Vec<Measured>,
}

impl Bench<'_> {
    /// Reads a page again and again; `read` says how many items it holds.
    async fn page(&mut self, name: &'static str, read: impl AsyncFn(&Table) -> usize) {
        let mut items = 0;
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            self.table.calls.take();
            self.meter.take();
            let start = Instant::now();
            items = read(&self.store).await;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let units = self.meter.take().iter().map(|cost| cost.units).sum();
        let calls = self.table.calls.take().len();
        self.measured.push(Measured { name, items, calls, units, time: times[ROUNDS / 2] });
    }
}

async fn measure(table: &TestTable, services: &[Service]) -> Vec<Measured> {
    let (store, meter) = table.metered();
    let mut bench = Bench { table, store, meter, measured: Vec::new() };
    let all = callers::person("root", "*=admin", "ses_root");
    let one = callers::person("ada", "acme=developer", "ses_ada");
    let page = &PageRequest::default();
    let services_of = async |store: &Table, caller: &Caller, text: Option<&str>| {
        let query = ServiceQuery { text: text.map(str::to_owned), ..ServiceQuery::default() };
        catalog::list(store, caller, query, page).await.expect("a page").items.len()
    };
    bench.page("services, all tenants", async |store| services_of(store, &all, None).await).await;
    bench.page("services, one tenant", async |store| services_of(store, &one, None).await).await;
    bench.page("services, by text", async |store| services_of(store, &all, Some("service-77")).await).await;
    let jobs_of = async |store: &Table, caller: &Caller| {
        jobs::list(store, caller, None, None, page).await.expect("a page").items.len()
    };
    bench.page("jobs, all tenants", async |store| jobs_of(store, &all).await).await;
    bench.page("jobs, one tenant", async |store| jobs_of(store, &one).await).await;
    let operations_of = async |store: &Table, caller: &Caller, query: OperationQuery| {
        operations::list_all(store, caller, &query, page).await.expect("a page").items.len()
    };
    let any = OperationQuery::default;
    bench.page("operations, all tenants", async |store| operations_of(store, &all, any()).await).await;
    bench.page("operations, one tenant", async |store| operations_of(store, &one, any()).await).await;
    let open = || OperationQuery { statuses: OperationStatus::OPEN.into(), ..any() };
    bench.page("operations that are open", async |store| operations_of(store, &all, open()).await).await;
    let service = &services[0];
    let listed = async |store: &Table| operations::history(store, &all, &service.id, page).await;
    bench
        .page("operations of a service", async |store| listed(store).await.expect("a page").items.len())
        .await;
    let acts_of = async |store: &Table, caller: &Caller| {
        let query = AuditQuery { tenant: None, actor: None, until: table.system.now() };
        audit::list(store, caller, query, page).await.expect("a page").items.len()
    };
    bench.page("the trail, all tenants", async |store| acts_of(store, &all).await).await;
    bench.page("the trail, one tenant", async |store| acts_of(store, &one).await).await;
    bench
        .page("a service", async |store| usize::from(catalog::show(store, &all, &service.id).await.is_ok()))
        .await;
    bench.measured
}
