//! `sam2 serve`: the page and the HTTP interface.

use crate::args::ModelArgs;
use crate::console::{note, print};
use crate::error::{Failure, io};
use crate::logger;
use sam2_server::app::App;
use sam2_server::guard::Guard;
use sam2_server::listen;
use sam2_server::options::{Compat, Options};
use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Arguments of `sam2 serve`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Address to listen on
    ///
    /// Any other than a loopback address needs --api-key-file or --insecure-no-auth
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port to listen on. 0: a free one
    #[arg(long, value_name = "N", default_value_t = 7263)]
    port: u16,
    /// File with the keys that requests may have, one a line
    ///
    /// A request has a key in `Authorization: Bearer KEY` or `X-Api-Key: KEY`. The environment variable SAM2_API_KEY adds
    /// a key
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Answer anybody who reaches the address
    #[arg(long, conflicts_with = "api_key_file")]
    insecure_no_auth: bool,
    /// Another host name under which the server answers, such as that of a proxy
    #[arg(long, value_name = "HOST")]
    allowed_host: Vec<String>,
    /// Origin of another site whose pages may send requests, such as http://localhost:8080
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    cors_origin: Vec<String>,
    /// Folder for videos and for sessions, which the next start finds again. Default: a temporary folder
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Largest size of the data folder in MiB
    #[arg(long, value_name = "MIB", default_value_t = 10 << 10)]
    data_limit: u64,
    /// Largest size of features and sessions in memory in MiB. Default: half of the memory
    #[arg(long, value_name = "MIB")]
    memory_limit: Option<usize>,
    /// Largest number of images
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    max_images: usize,
    /// Largest number of sessions
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    max_sessions: usize,
    /// Largest number of requests that wait for the model
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least_one)]
    max_queue: usize,
    /// Seconds that a unit of work, such as the encoding of an image, may take before the server counts as not ready
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    unit_timeout: u64,
    /// Clients of other servers whose requests are answered: meta, image-demo, label-studio, roboflow, x-anylabeling, or
    /// none
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "meta,image-demo")]
    compat: Vec<Client>,
    /// Address of Label Studio, from which images of its tasks are fetched, such as http://localhost:8080
    #[arg(long, value_name = "URL")]
    label_studio_url: Option<String>,
    /// File with the key that Label Studio gave out for its API
    #[arg(long, value_name = "FILE", requires = "label_studio_url")]
    label_studio_key_file: Option<PathBuf>,
    /// Answer /metrics without a key
    #[arg(long)]
    metrics_public: bool,
    /// Print a line for each request on stderr
    #[arg(long)]
    log_requests: bool,
    /// Print notes and a line for each request on stderr, as JSON
    #[arg(long)]
    log_json: bool,
}

/// A client of another server, or none.
#[derive(Clone, Copy)]
struct Client(Option<Compat>);

impl FromStr for Client {
    type Err = String;

    fn from_str(name: &str) -> Result<Client, String> {
        if name == "none" { Ok(Client(None)) } else { name.parse().map(|client| Client(Some(client))) }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number of at least 1".into()),
        Ok(n) => Ok(n),
    }
}

/// An origin as browsers send it: a scheme, a host and perhaps a port.
fn origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ', '@'])) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("expected http://HOST or https://HOST, with a port if it is not the usual one".into()),
    }
}

/// A temporary folder, which is deleted with this value.
struct Temporary(PathBuf);

impl Temporary {
    fn create() -> Result<Temporary, Failure> {
        let folder = std::env::temp_dir();
        let failed = |e| io(&folder, e);
        let id = sam2_server::ids::random().map_err(|e| failed(std::io::Error::other(e.to_string())))?;
        let path = folder.join(format!("sam2-serve-{id}"));
        let builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        let builder = {
            let mut private = builder;
            std::os::unix::fs::DirBuilderExt::mode(&mut private, 0o700);
            private
        };
        builder.create(&path).map_err(failed)?;
        Ok(Temporary(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The data folder for the time of this process. Two servers cannot have the same one.
fn lock(folder: &Path) -> Result<File, Failure> {
    std::fs::create_dir_all(folder).map_err(|e| io(folder, e))?;
    let path = folder.join("lock");
    let file = File::create(&path).map_err(|e| io(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(Failure::Usage(format!("{}: another server uses this folder", folder.display())))
        }
        Err(std::fs::TryLockError::Error(e)) => Err(io(&path, e)),
    }
}

impl Args {
    fn keys(&self) -> Result<Vec<String>, Failure> {
        let mut keys = Vec::new();
        if let Some(path) = &self.api_key_file {
            let text = std::fs::read_to_string(path).map_err(|e| io(path, e))?;
            keys.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from));
            if keys.is_empty() {
                return Err(Failure::Usage(format!("{}: there is no key in it", path.display())));
            }
        }
        keys.extend(std::env::var("SAM2_API_KEY").ok().filter(|key| !key.is_empty()));
        if keys.is_empty() && !self.host.is_loopback() && !self.insecure_no_auth {
            return Err(Failure::Usage(format!(
                "--host {}: others may reach this address; give --api-key-file, or --insecure-no-auth",
                self.host
            )));
        }
        Ok(keys)
    }

    fn guard(&self) -> Result<Guard, Failure> {
        let mut hosts: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
        if !self.host.is_unspecified() {
            hosts.push(self.host.to_string());
        }
        hosts.extend(self.allowed_host.iter().map(|host| host.to_ascii_lowercase()));
        let addresses = self.host.is_unspecified();
        Ok(Guard { hosts, addresses, origins: self.cors_origin.clone(), keys: self.keys()? })
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let guard = args.guard()?;
    let address = SocketAddr::new(args.host, args.port);
    // Before the model is loaded, since this fails more often.
    let listener = TcpListener::bind(address)
        .map_err(|e| Failure::Engine(sam2::Error::Io { path: address.to_string(), source: e }))?;
    let address = listener.local_addr().unwrap_or(address);
    let temporary = if args.data.is_none() { Some(Temporary::create()?) } else { None };
    let data = args.data.clone().or_else(|| temporary.as_ref().map(|t| t.0.clone())).unwrap_or_default();
    let _lock = lock(&data)?;
    logger::serve(args.log_requests, args.log_json);
    let model = args.model.load()?;
    let name = args.model.model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let defaults = Options::new(guard, name, data.clone());
    let options = Options {
        data_limit: args.data_limit << 20,
        memory_limit: args.memory_limit.map_or(defaults.memory_limit, |mib| mib << 20),
        max_images: args.max_images,
        max_sessions: args.max_sessions,
        max_queue: args.max_queue,
        metrics_public: args.metrics_public,
        unit_timeout: Duration::from_secs(args.unit_timeout),
        log_json: args.log_json,
        compat: args.compat.iter().filter_map(|client| client.0).collect(),
        label_studio_url: args.label_studio_url.clone(),
        label_studio_key: match &args.label_studio_key_file {
            Some(path) => Some(std::fs::read_to_string(path).map_err(|e| io(path, e))?.trim().to_string()),
            None => None,
        },
        ..defaults
    };
    let app = Arc::new(App::new(model, &options).map_err(|e| io(&data, e))?);
    if args.host.is_unspecified() && args.allowed_host.is_empty() {
        note("note: the server answers under addresses; name the host names of this machine by --allowed-host");
    }
    print(&format!("http://{address}/"))?;
    listen::run(&app, listener, ended()).map_err(|e| io(&data, e))
}

/// Comes when a signal tells the program to end. A second signal ends it at once.
async fn ended() {
    signal().await;
    note("note: ending; requests that run are waited for, once more ends at once");
    std::thread::spawn(|| {
        let again = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = again {
            runtime.block_on(signal());
            std::process::exit(130);
        }
    });
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let [terminate, interrupt] = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    match (terminate, interrupt) {
        (Ok(mut terminate), Ok(mut interrupt)) => tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        },
        _ => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
