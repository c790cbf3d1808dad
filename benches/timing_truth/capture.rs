//! The same exchanges as packets, by tshark.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

use super::peers::{Phases, Sample};

/// What is asked of each packet.
const FIELDS: [&str; 7] = [
    "frame.time_epoch",
    "udp.dstport",
    "dns.flags.response",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.len",
    "tcp.flags",
];
const SYN: u64 = 0x02;
const ACK: u64 = 0x10;

/// A running capture of loopback.
pub(crate) struct Capture {
    child: Child,
    file: PathBuf,
}

impl Capture {
    pub(crate) async fn start(file: &Path) -> anyhow::Result<Self> {
        let child = Command::new("tshark")
            .args(["-q", "-n", "-i", "lo", "-f", "udp port 53 or tcp", "-w"])
            .arg(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("tshark")?;
        // The file has its header once the socket is open.
        for _ in 0..200 {
            if std::fs::metadata(file).is_ok_and(|file| file.len() > 0) {
                return Ok(Self {
                    child,
                    file: file.to_owned(),
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("tshark does not begin")
    }

    /// Ends it, and reads what was captured.
    pub(crate) fn finish(&mut self) -> anyhow::Result<Packets> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status()?;
        self.child.wait()?;
        let mut command = Command::new("tshark");
        command.args(["-n", "-T", "fields", "-E", "separator=;", "-r"]);
        command.arg(&self.file);
        for field in FIELDS {
            command.args(["-e", field]);
        }
        let output = command.stderr(Stdio::null()).output()?;
        anyhow::ensure!(output.status.success(), "{}", output.status);
        let text = String::from_utf8(output.stdout)?;
        let packets = text.lines().map(parse).collect::<anyhow::Result<_>>()?;
        Ok(Packets(packets))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(line: &str) -> anyhow::Result<Packet> {
    let fields: Vec<&str> = line.split(';').collect();
    let [at, udp_to, is_reply, from, to, length, flags] = fields[..] else {
        anyhow::bail!("{line}");
    };
    let kind = if from.is_empty() {
        Kind::Name {
            is_question: udp_to == "53" && matches!(is_reply, "0" | "False"),
        }
    } else {
        Kind::Segment {
            from: from.to_owned(),
            to: to.to_owned(),
            length: length.parse()?,
            flags: u64::from_str_radix(flags.trim_start_matches("0x"), 16)?,
        }
    };
    Ok(Packet {
        at: at.parse()?,
        kind,
    })
}

struct Packet {
    /// Seconds since the Unix epoch.
    at: f64,
    kind: Kind,
}

enum Kind {
    Name {
        is_question: bool,
    },
    Segment {
        from: String,
        to: String,
        length: u64,
        flags: u64,
    },
}

/// Everything that was captured, in order.
pub(crate) struct Packets(Vec<Packet>);

impl Packets {
    /// The phases of the first exchange of a sample.
    pub(crate) fn of(&self, sample: &Sample) -> anyhow::Result<Phases> {
        let (began, ended) = (epoch(sample.began)?, epoch(sample.ended)?);
        let server = sample.port.to_string();
        let of_sample = self.0.iter();
        let of_sample = of_sample.filter(|packet| (began..=ended).contains(&packet.at));
        let of_sample: Vec<&Packet> = of_sample.collect();
        let first = of_sample.iter().find_map(|packet| packet.opens(&server));
        let (client, opened) = first.context("nobody connects")?;
        let names = |wanted: bool| {
            let earlier = of_sample.iter().filter(move |packet| packet.at <= opened);
            earlier.filter(move |packet| {
                matches!(packet.kind, Kind::Name { is_question } if is_question == wanted)
            })
        };
        let asked = names(true)
            .map(|packet| packet.at)
            .next()
            .context("no question")?;
        let told = names(false)
            .map(|packet| packet.at)
            .next_back()
            .context("no answer")?;
        let accepted = of_sample.iter().find(|packet| packet.accepts(client));
        let accepted = accepted.context("no SYN-ACK")?.at;
        let mut turns = Turns::default();
        for packet in &of_sample {
            if let Kind::Segment {
                from,
                to,
                length: 1..,
                ..
            } = &packet.kind
            {
                if from == client {
                    turns.take(true, packet.at);
                } else if to == client {
                    turns.take(false, packet.at);
                }
            }
        }
        // ClientHello, the server's flight, Finished and request, answer.
        let [hello, _, request, answer, ..] = &turns.0[..] else {
            anyhow::bail!("{} turns", turns.0.len());
        };
        // The first segment of that turn is Finished: with it the handshake has ended.
        let [finished, sent @ ..] = &request.times[..] else {
            anyhow::bail!("no Finished");
        };
        let hello = *hello.times.first().context("no ClientHello")?;
        let (send, sent) = (
            sent.first().context("no request")?,
            sent.last().unwrap_or(finished),
        );
        let (first, last) = (answer.times.first(), answer.times.last());
        let (first, last) = (first.context("no answer")?, last.context("no answer")?);
        let phases = [
            ("dns", told - asked),
            ("connect", accepted - opened),
            ("tls", finished - hello),
            ("send", sent - send),
            ("wait", first - sent),
            ("answer", first - finished),
            ("receive", last - first),
        ];
        Ok(phases
            .into_iter()
            .map(|(phase, seconds)| (phase, seconds * 1000.0))
            .collect())
    }
}

/// Who spoke when: each turn is of one side.
#[derive(Default)]
struct Turns(Vec<Turn>);

struct Turn {
    is_client: bool,
    times: Vec<f64>,
}

impl Turns {
    fn take(&mut self, is_client: bool, at: f64) {
        match self.0.last_mut() {
            Some(turn) if turn.is_client == is_client => turn.times.push(at),
            _ => self.0.push(Turn {
                is_client,
                times: vec![at],
            }),
        }
    }
}

impl Packet {
    /// The client's port, where this is its first SYN.
    fn opens(&self, server: &str) -> Option<(&str, f64)> {
        match &self.kind {
            Kind::Segment {
                from, to, flags, ..
            } if flags & (SYN | ACK) == SYN && to == server => Some((from, self.at)),
            Kind::Segment { .. } | Kind::Name { .. } => None,
        }
    }

    fn accepts(&self, client: &str) -> bool {
        let Kind::Segment { to, flags, .. } = &self.kind else {
            return false;
        };
        to == client && flags & (SYN | ACK) == SYN | ACK
    }
}

fn epoch(time: SystemTime) -> anyhow::Result<f64> {
    Ok(time.duration_since(UNIX_EPOCH)?.as_secs_f64())
}
