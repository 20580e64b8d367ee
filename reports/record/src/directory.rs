//! The run directory: trials are appended to while they run, sealed by a rename, and read when sealed.
//!
//! `trials/ID/trial.json` is the seal, written last and by rename: a trial without it is none. While a trial
//! runs its lines are plain JSON, so that whatever was measured survives a kill; sealing packs them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::contained::{self, is_file_name, made_anew, no_link};
use crate::sums::Summed;
use crate::{
    ClockExchange, DiskTest, End, Error, Interval, IstioReading, Lock, Loss, Outcomes, Phase, Result, Run, RunCluster,
    RunHosts, SCHEMA, Sample, SlowRequest, Sums, Trial, TrialHosts, sums,
};

const RUN: &str = "run.json";
const SEAL: &str = "trial.json";
const INTERVALS: &str = "intervals.jsonl";
const SAMPLES: &str = "samples.jsonl";
const SLOW: &str = "slow.jsonl";
const DISK_BEFORE: &str = "disk-before.json";
const DISK_AFTER: &str = "disk-after.json";
const ISTIO: &str = "istio.json";
const END: &str = "end.json";
const HOSTS: &str = "hosts.json";
const CLUSTER: &str = "cluster.json";
const CLOCKS: &str = "clocks.jsonl";
const LOSSES: &str = "losses.jsonl";

/// How hard lines are packed, of zstd's levels.
const LEVEL: i32 = 3;

fn file_error(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::File { action, path: path.to_owned(), source }
}

fn packed(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".zst");
    PathBuf::from(name)
}

/// Writes a whole file by way of a temporary one, so that it is there whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_whole_by(path, |file| file.write_all(bytes))
}

fn write_whole_by(path: &Path, fill: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    let write = || -> std::io::Result<()> {
        let mut file = made_anew(&temporary, 0o666)?;
        fill(&mut file)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|e| {
        let _ = fs::remove_file(&temporary);
        file_error("write", path)(e)
    })
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    write_whole(path, &to_json(path, value)?)
}

fn to_json<T: Serialize>(path: &Path, value: &T) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| json_error(path, &e))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn json_error(path: &Path, e: &serde_json::Error) -> Error {
    let text = e.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
    Error::Json { path: path.to_owned(), line: e.line(), column: e.column(), message }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    from_json(path, &fs::read(path).map_err(file_error("read", path))?)
}

fn from_json<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    #[derive(serde::Deserialize)]
    struct Head {
        schema: u64,
    }
    // The number first: a later format may well not parse, and that must not look like damage.
    if let Ok(Head { schema }) = serde_json::from_slice::<Head>(bytes)
        && schema > u64::from(SCHEMA)
    {
        return Err(Error::FutureSchema { path: path.to_owned(), found: schema });
    }
    serde_json::from_slice(bytes).map_err(|e| json_error(path, &e))
}

fn read_json_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if path.exists() { read_json(path).map(Some) } else { Ok(None) }
}

/// A run's directory.
#[derive(Clone, Debug)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// Makes the directory and writes `run.json`.
    ///
    /// # Errors
    /// When it is there already or cannot be written.
    pub fn create(path: &Path, run: &Run) -> Result<Self> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(file_error("create", parent))?;
        }
        fs::create_dir(path).map_err(file_error("create", path))?;
        let trials = path.join("trials");
        let filled = fs::create_dir(&trials)
            .map_err(file_error("create", &trials))
            .and_then(|()| write_run(&path.join(RUN), run));
        if let Err(error) = filled {
            // A directory without a plan is no run, and nobody would know what it is.
            let _ = fs::remove_dir_all(path);
            return Err(error);
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Opens one that was written before.
    ///
    /// # Errors
    /// When it is no run directory.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.join(RUN).is_file() {
            return Err(Error::NotARun { path: path.to_owned() });
        }
        no_link(&path.join("trials"))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps other writers out for as long as what is returned lives.
    ///
    /// # Errors
    /// [`Error::Locked`] when another meshtax is writing to it; when it cannot be locked where it lies.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.path.join(RUN);
        let lock = Lock::take(&path).map_err(file_error("lock", &path))?;
        lock.ok_or_else(|| Error::Locked { path: self.path.clone() })
    }

    /// Whether another meshtax is writing to it now.
    pub fn is_locked(&self) -> bool {
        Lock::is_held(&self.path.join(RUN))
    }

    /// Reads `run.json`, if it is as it was written.
    ///
    /// # Errors
    /// When it cannot be read, is broken or of a later format; [`Error::Changed`] when it was changed since; [`Error::Name`] and
    /// [`Error::Link`] where something in it leads out of the directory.
    pub fn run(&self) -> Result<Run> {
        let path = self.path.join(RUN);
        let bytes = fs::read(&path).map_err(file_error("read", &path))?;
        let run: Run = from_json(&path, &bytes)?;
        if let Some(sum) = &run.sum {
            as_written(&path, sum, &sums::own(&bytes, sums::OF_RUN))?;
        }
        contained::names(&run, &path)?;
        run.trials.iter().try_for_each(|trial| no_link(&self.trial_path(&trial.id)))?;
        Ok(run)
    }

    /// Writes what is derived from the run, whole or not at all, in the place of what has its name.
    ///
    /// # Errors
    /// [`Error::Name`] for a path; when it cannot be written.
    pub fn write_derived(&self, name: &str, text: &str) -> Result<()> {
        if !is_file_name(name) {
            return Err(Error::Name { path: self.path.clone(), what: "file", name: name.to_owned() });
        }
        write_whole(&self.path.join(name), text.as_bytes())
    }

    /// Keeps the disk test made before the first trial.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_disk_before(&self, test: &DiskTest) -> Result<()> {
        write_json(&self.path.join(DISK_BEFORE), test)
    }

    /// Keeps the disk test made after the last trial.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_disk_after(&self, test: &DiskTest) -> Result<()> {
        write_json(&self.path.join(DISK_AFTER), test)
    }

    /// The disk test made before the first trial; none where none was asked for.
    ///
    /// # Errors
    /// When it cannot be read, is broken or of a later format.
    pub fn disk_before(&self) -> Result<Option<DiskTest>> {
        read_json_if_there(&self.path.join(DISK_BEFORE))
    }

    /// The disk test made after the last trial; none where none was asked for.
    ///
    /// # Errors
    /// As [`Self::disk_before`].
    pub fn disk_after(&self) -> Result<Option<DiskTest>> {
        read_json_if_there(&self.path.join(DISK_AFTER))
    }

    /// Keeps how a user's Istio configuration was read.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_istio(&self, reading: &IstioReading) -> Result<()> {
        write_json(&self.path.join(ISTIO), reading)
    }

    /// How a user's Istio configuration was read; none where the run is not of one.
    ///
    /// # Errors
    /// As [`Self::disk_before`].
    pub fn istio(&self) -> Result<Option<IstioReading>> {
        read_json_if_there(&self.path.join(ISTIO))
    }

    /// Keeps why the run ended with trials of its plan left.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_end(&self, end: &End) -> Result<()> {
        write_json(&self.path.join(END), end)
    }

    /// Why the run ended with trials of its plan left; none where it did not, or was cut off.
    ///
    /// # Errors
    /// As [`Self::disk_before`].
    pub fn end(&self) -> Result<Option<End>> {
        read_json_if_there(&self.path.join(END))
    }

    /// Keeps which hosts the run is made on.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_hosts(&self, hosts: &RunHosts) -> Result<()> {
        write_json(&self.path.join(HOSTS), hosts)
    }

    /// The hosts of the run; none where it was made on the host of the runner.
    ///
    /// # Errors
    /// As [`Self::disk_before`].
    pub fn hosts(&self) -> Result<Option<RunHosts>> {
        let path = self.path.join(HOSTS);
        let hosts: Option<RunHosts> = read_json_if_there(&path)?;
        // Files of a host lie below its name.
        match hosts.iter().flat_map(|hosts| &hosts.hosts).find(|host| !is_file_name(&host.name)) {
            Some(host) => Err(Error::Name { path, what: "host", name: host.name.clone() }),
            None => Ok(hosts),
        }
    }

    /// Keeps which cluster the run is made in, and where its parts stand there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_cluster(&self, cluster: &RunCluster) -> Result<()> {
        write_json(&self.path.join(CLUSTER), cluster)
    }

    /// The cluster of the run; none where it was made in none, or with pods that somebody else had started.
    ///
    /// # Errors
    /// As [`Self::disk_before`].
    pub fn cluster(&self) -> Result<Option<RunCluster>> {
        read_json_if_there(&self.path.join(CLUSTER))
    }

    /// Where exchanges of stamps with agents are appended.
    pub fn clocks_path(&self) -> PathBuf {
        self.path.join(CLOCKS)
    }

    /// The exchanges of stamps with agents; none where the run has no other hosts. A line that was cut off,
    /// as by a kill, is left out.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn clocks(&self) -> Result<Vec<ClockExchange>> {
        whole_lines(&self.clocks_path())
    }

    /// Keeps that a try of a trial was lost.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_loss(&self, loss: &Loss) -> Result<()> {
        LineWriter::open(&self.path.join(LOSSES))?.append(loss)
    }

    /// The tries of trials that were lost with a host.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn losses(&self) -> Result<Vec<Loss>> {
        whole_lines(&self.path.join(LOSSES))
    }

    /// The hosts of a trial; none where it was made on one.
    ///
    /// # Errors
    /// As [`Self::disk_before`].
    pub fn trial_hosts(&self, id: &str) -> Result<Option<TrialHosts>> {
        read_json_if_there(&self.trial_path(id).join(HOSTS))
    }

    /// Whether a trial is sealed.
    pub fn is_sealed(&self, id: &str) -> bool {
        self.trial_path(id).join(SEAL).is_file()
    }

    /// Begins a trial; what an earlier, unsealed try left is removed.
    ///
    /// # Errors
    /// When the directory cannot be made, or the trial is sealed already.
    pub fn begin_trial(&self, id: &str) -> Result<TrialDirectory> {
        let path = self.trial_path(id);
        if !is_file_name(id) {
            return Err(Error::Name { path: self.path.clone(), what: "trial", name: id.to_owned() });
        }
        no_link(&path)?;
        if path.exists() {
            if self.is_sealed(id) {
                return Err(file_error("write over the sealed trial", &path)(std::io::ErrorKind::AlreadyExists.into()));
            }
            fs::remove_dir_all(&path).map_err(file_error("remove the unsealed", &path))?;
        }
        fs::create_dir_all(&path).map_err(file_error("create", &path))?;
        Ok(TrialDirectory { path })
    }

    /// The sealed trials of the plan, in its order.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn trials(&self, run: &Run) -> Result<Vec<Trial>> {
        run.trials.iter().filter(|t| self.is_sealed(&t.id)).map(|t| self.trial(&t.id)).collect()
    }

    /// One sealed trial, if it and its files are as they were sealed.
    ///
    /// # Errors
    /// When it cannot be read, is broken or of a later format; [`Error::Changed`] when it is the seal of another trial, or a
    /// file is not what it was sealed with. Kept slow requests may be gone: they take most of the room, and are in no figure.
    pub fn trial(&self, id: &str) -> Result<Trial> {
        let directory = self.trial_path(id);
        let path = directory.join(SEAL);
        let bytes = fs::read(&path).map_err(file_error("read", &path))?;
        let trial: Trial = from_json(&path, &bytes)?;
        if trial.id != id {
            return Err(Error::Changed { path, what: format!("it is the seal of the trial {}", trial.id) });
        }
        let Some(Sums { files, own }) = &trial.sums else { return Ok(trial) };
        as_written(&path, own, &sums::own(&bytes, sums::OF_SEAL))?;
        for (name, sum) in files {
            let path = directory.join(name);
            match sums::of_file(&path) {
                Ok(found) => as_written(&path, sum, &found)?,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && name == SLOW => {}
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    return Err(Error::Changed { path, what: "it is not there".to_owned() });
                }
                Err(e) => return Err(file_error("read", &path)(e)),
            }
        }
        Ok(trial)
    }

    /// The intervals of a trial, one by one.
    ///
    /// # Errors
    /// When the file cannot be opened; each line may be an error of its own.
    pub fn intervals(&self, id: &str) -> Result<Lines<Interval>> {
        Lines::open(&self.trial_path(id).join(INTERVALS))
    }

    /// The samples of a trial, one by one.
    ///
    /// # Errors
    /// As [`Self::intervals`].
    pub fn samples(&self, id: &str) -> Result<Lines<Sample>> {
        Lines::open(&self.trial_path(id).join(SAMPLES))
    }

    /// The kept slow requests of a trial, one by one.
    ///
    /// # Errors
    /// As [`Self::intervals`].
    pub fn slow(&self, id: &str) -> Result<Lines<SlowRequest>> {
        Lines::open(&self.trial_path(id).join(SLOW))
    }

    /// Where a trial's files are.
    pub fn trial_path(&self, id: &str) -> PathBuf {
        self.path.join("trials").join(id)
    }
}

/// A trial's directory while it is being made.
#[derive(Clone, Debug)]
pub struct TrialDirectory {
    path: PathBuf,
}

impl TrialDirectory {
    /// A directory outside any run, for a load on its own that keeps its lines.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the intervals are appended.
    pub fn intervals_path(&self) -> PathBuf {
        self.path.join(INTERVALS)
    }

    /// Where the samples are appended.
    pub fn samples_path(&self) -> PathBuf {
        self.path.join(SAMPLES)
    }

    /// Where the slow requests are appended.
    pub fn slow_path(&self) -> PathBuf {
        self.path.join(SLOW)
    }

    /// Where the generator's summary goes.
    pub fn load_path(&self) -> PathBuf {
        self.path.join("load.json")
    }

    /// Writes the generator's summary.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_load(&self, summary: &crate::LoadSummary) -> Result<()> {
        write_json(&self.load_path(), summary)
    }

    /// Makes the file of the generator's summary, for a writer that may not make files here when the load has ended. It
    /// is empty until then.
    ///
    /// # Errors
    /// When it is there already or cannot be made.
    pub fn open_load(&self) -> Result<LoadFile> {
        let path = self.load_path();
        let file = File::options().write(true).create_new(true).open(&path).map_err(file_error("create", &path))?;
        Ok(LoadFile { path, file })
    }

    /// Keeps the hosts of the trial.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_hosts(&self, hosts: &TrialHosts) -> Result<()> {
        write_json(&self.path.join(HOSTS), hosts)
    }

    /// Reads the generator's summary.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(&self) -> Result<crate::LoadSummary> {
        read_json(&self.load_path())
    }

    /// Checks every line and that they hold together, packs them, takes the sums, writes the seal: from then on it is a trial.
    ///
    /// # Errors
    /// When a line is broken, [`Error::Inconsistent`] when lines are not in the order of time or do not add up to what the
    /// load counted, and when the disk refuses; then it stays unsealed.
    pub fn seal(self, trial: &Trial) -> Result<()> {
        check_intervals(&self.intervals_path(), trial)?;
        in_order(&self.samples_path(), |sample: &Sample| sample.before_ns, |_| {})?;
        Lines::<SlowRequest>::open(&self.slow_path())?.try_for_each(|line| line.map(drop))?;
        let mut files = BTreeMap::new();
        for path in [self.intervals_path(), self.samples_path()] {
            let (name, sum) = pack(&path)?;
            files.insert(name, sum);
        }
        for (name, needed) in [(SLOW, true), (HOSTS, false)] {
            let path = self.path.join(name);
            match sums::of_file(&path) {
                Ok(sum) => drop(files.insert(name.to_owned(), sum)),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && !needed => {}
                Err(e) => return Err(file_error("read", &path)(e)),
            }
        }
        let path = self.path.join(SEAL);
        let mut bytes = to_json(&path, &Trial { sums: Some(Sums::of(files)), ..trial.clone() })?;
        sums::sign(&mut bytes, sums::OF_SEAL);
        write_whole(&path, &bytes)
    }
}

fn write_run(path: &Path, run: &Run) -> Result<()> {
    let mut bytes = to_json(path, &Run { sum: Some(sums::NONE_YET.to_owned()), ..run.clone() })?;
    sums::sign(&mut bytes, sums::OF_RUN);
    write_whole(path, &bytes)
}

/// A file's sum is the one that it was written with.
fn as_written(path: &Path, written: &str, found: &str) -> Result<()> {
    if written == found {
        return Ok(());
    }
    Err(Error::Changed { path: path.to_owned(), what: format!("its CRC-32 was {written} and is {found}") })
}

/// The file of a generator's summary, still empty.
#[derive(Debug)]
pub struct LoadFile {
    path: PathBuf,
    file: File,
}

impl LoadFile {
    /// Writes the summary, in place: who reads it waits for the end of who writes it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(mut self, summary: &crate::LoadSummary) -> Result<()> {
        let bytes = to_json(&self.path, summary)?;
        self.file.write_all(&bytes).and_then(|()| self.file.sync_all()).map_err(file_error("write", &self.path))
    }
}

/// The whole lines of a file; none where there is no file. One that was cut off by a kill is passed over, and with it the
/// one that was appended to it.
fn whole_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(file_error("read", path)(e)),
    }
}

/// Every line can be read, and none begins before the one above it.
fn in_order<T: DeserializeOwned>(path: &Path, start_ns: impl Fn(&T) -> u64, mut each: impl FnMut(&T)) -> Result<()> {
    let mut last_ns = 0;
    for (at, line) in Lines::<T>::open(path)?.enumerate() {
        let line = line?;
        if start_ns(&line) < last_ns {
            let what = format!("line {} begins {} ns before the one above it", at + 1, last_ns - start_ns(&line));
            return Err(Error::Inconsistent { path: path.to_owned(), what });
        }
        last_ns = start_ns(&line);
        each(&line);
    }
    Ok(())
}

/// The intervals are in order, and those of the measured phase add up to what the load says of it.
fn check_intervals(path: &Path, trial: &Trial) -> Result<()> {
    let (mut due, mut outcomes) = (0, Outcomes::default());
    in_order(
        path,
        |interval: &Interval| interval.start_ns,
        |interval| {
            if interval.phase == Phase::Measure {
                due += interval.due;
                outcomes.add(&interval.outcomes);
            }
        },
    )?;
    let load = &trial.load;
    if (due, &outcomes) == (load.due, &load.outcomes) {
        return Ok(());
    }
    let what = format!(
        "it has {due} requests due and {} that ended, and the load counted {} and {}",
        outcomes.total(),
        load.due,
        load.outcomes.total()
    );
    Err(Error::Inconsistent { path: path.to_owned(), what })
}

/// Puts a packed file in a file's place; returns its name and sum.
fn pack(path: &Path) -> Result<(String, String)> {
    // From one file to the other: the lines of half an hour are hundreds of MiB.
    let plain = File::open(path).map_err(file_error("read", path))?;
    let packed_path = packed(path);
    let mut sum = String::new();
    write_whole_by(&packed_path, |file| {
        let mut summed = Summed::new(file);
        zstd::stream::copy_encode(BufReader::new(&plain), &mut summed, LEVEL)?;
        sum = summed.sum();
        Ok(())
    })?;
    fs::remove_file(path).map_err(file_error("remove", path))?;
    let name = packed_path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Ok((name, sum))
}

/// Appends values to a file, a JSON line each; every line is handed to the kernel at once.
#[derive(Debug)]
pub struct LineWriter<T> {
    path: PathBuf,
    file: BufWriter<File>,
    line: Vec<u8>,
    kind: PhantomData<fn(&T)>,
}

impl<T: Serialize> LineWriter<T> {
    /// Opens a file to append to.
    ///
    /// # Errors
    /// When it cannot be opened, or is a link.
    pub fn open(path: &Path) -> Result<Self> {
        no_link(path)?;
        let file = File::options().create(true).append(true).open(path).map_err(file_error("open", path))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file), line: Vec::new(), kind: PhantomData })
    }

    /// Appends one value.
    ///
    /// # Errors
    /// When the disk refuses; the file may then end in a part of the line.
    pub fn append(&mut self, value: &T) -> Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, value).map_err(|e| json_error(&self.path, &e))?;
        self.line.push(b'\n');
        self.file.write_all(&self.line).and_then(|()| self.file.flush()).map_err(file_error("append to", &self.path))
    }
}

/// The values of a JSON-lines file, packed or plain, one by one.
pub struct Lines<T> {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    good: usize,
    ended: bool,
    kind: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Lines<T> {
    /// Opens `path`, or `path.zst` where that is what there is.
    ///
    /// # Errors
    /// When neither can be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let packed_path = packed(path);
        let (path, reader): (PathBuf, Box<dyn BufRead>) = if packed_path.is_file() {
            let file = File::open(&packed_path).map_err(file_error("read", &packed_path))?;
            let decoder = zstd::Decoder::new(file).map_err(file_error("unpack", &packed_path))?;
            (packed_path, Box::new(BufReader::new(decoder)))
        } else {
            let file = File::open(path).map_err(file_error("read", path))?;
            (path.to_owned(), Box::new(BufReader::new(file)))
        };
        Ok(Self { path, reader, line: Vec::new(), good: 0, ended: false, kind: PhantomData })
    }

    fn broken(&mut self, what: &'static str, message: String) -> Error {
        self.ended = true;
        Error::Line { path: self.path.clone(), line: self.good + 1, what, message, good: self.good }
    }
}

/// A line longer than this is no line of ours (the largest samples are some hundred KiB).
const LONGEST_LINE: u64 = 64 << 20;

impl<T: DeserializeOwned> Iterator for Lines<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        self.line.clear();
        let read = (&mut self.reader).take(LONGEST_LINE).read_until(b'\n', &mut self.line);
        if let Err(e) = read {
            return Some(Err(self.broken("cut off", e.to_string())));
        }
        if self.line.is_empty() {
            self.ended = true;
            return None;
        }
        if self.line.last() != Some(&b'\n') {
            let message = format!("it ends after {} bytes without a line end", self.line.len());
            return Some(Err(self.broken("cut off", message)));
        }
        match serde_json::from_slice(&self.line) {
            Ok(value) => {
                self.good += 1;
                Some(Ok(value))
            }
            Err(e) => {
                let text = e.to_string();
                let message = text.replace(" at line 1 column ", " at column ");
                Some(Err(self.broken("not what it should be", message)))
            }
        }
    }
}
