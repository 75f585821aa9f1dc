//! nginx: the floor of HTTP on this machine, and the peer the gateway is measured beside.

use std::path::PathBuf;

use tokio::process::Command;

use crate::{
    probe::Probe,
    process::{Processes, find_program, free_port},
    report,
    trouble::Trouble,
    upstream::EVENTS,
};

/// A running nginx.
#[derive(Debug)]
pub(crate) struct Nginx {
    pub(crate) pid: u32,
    /// The URL to load.
    pub(crate) url: String,
}

impl Nginx {
    /// Starts an nginx which answers every request itself.
    pub(crate) async fn floor(processes: &Processes, probe: &Probe) -> Result<Self, Trouble> {
        start(processes, probe, "nginx-floor", "", "default_type text/plain; return 200 'ok';").await
    }

    /// Starts an nginx as reverse proxy before the upstream on `upstream_port`.
    pub(crate) async fn proxy(processes: &Processes, probe: &Probe, upstream_port: u16) -> Result<Self, Trouble> {
        let upstream = format!(
            "upstream app {{ server 127.0.0.1:{upstream_port}; keepalive 256; keepalive_requests 100000000; }}"
        );
        let location = "proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection '';";
        start(processes, probe, "nginx-proxy", &upstream, location).await
    }
}

/// Returns a configuration with its own files only, so that no nginx of the system is touched.
fn configuration(port: u16, upstream: &str, location: &str) -> String {
    format!(
        "daemon off;
worker_processes 2;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  keepalive_requests 100000000;
  {upstream}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ {location} }}
  }}
}}
"
    )
}

async fn start(
    processes: &Processes,
    probe: &Probe,
    name: &str,
    upstream: &str,
    location: &str,
) -> Result<Nginx, Trouble> {
    let program = find_program(&["nginx", "/usr/sbin/nginx", "/opt/homebrew/bin/nginx"], "-v", "nginx").await?;
    let port = free_port()?;
    let directory: PathBuf = report::directory()?.join(name);
    std::fs::create_dir_all(&directory)?;
    let file = directory.join("nginx.conf");
    std::fs::write(&file, configuration(port, upstream, location))?;
    let mut command = Command::new(program);
    // `-e` keeps it from opening the system's error log before it has read its configuration.
    command.arg("-e").arg("stderr").arg("-p").arg(&directory).arg("-c").arg(&file);
    let pid = processes.start(name, &mut command)?;
    let url = format!("http://127.0.0.1:{port}{EVENTS}");
    probe.ready(processes, (name, pid), &url).await?;
    Ok(Nginx { pid, url })
}
