use super::Ranks;
use crate::error::RanksError;

/// Variables that launchers set: Open MPI, MPICH and Intel MPI, MVAPICH, SLURM.
const SIZES: [&str; 4] = [
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
    "MV2_COMM_WORLD_SIZE",
    "SLURM_STEP_NUM_TASKS",
];

/// How many processes a launcher started, if one did.
fn launched(variable: impl Fn(&str) -> Option<String>) -> Option<usize> {
    let sizes = SIZES.iter().filter_map(|name| variable(name)?.parse().ok());
    sizes.max()
}

pub(super) fn start() -> Result<Ranks, RanksError> {
    match launched(|name| std::env::var(name).ok()) {
        None => Ok(Ranks::default()),
        Some(size) => start_engine(size),
    }
}

#[cfg(not(feature = "mpi"))]
fn start_engine(size: usize) -> Result<Ranks, RanksError> {
    match size {
        0 | 1 => Ok(Ranks::default()),
        _ => Err(RanksError::NotBuilt(size)),
    }
}

#[cfg(feature = "mpi")]
fn start_engine(size: usize) -> Result<Ranks, RanksError> {
    use std::sync::Arc;

    use super::Communicator;
    use super::engine::MpiProcess;

    let process = MpiProcess::start()?;
    match (process.size(), size) {
        (1, 0 | 1) => Ok(Ranks::default()),
        (1, _) => Err(RanksError::NotConnected(size)),
        _ => {
            if std::env::var_os("RAYON_NUM_THREADS").is_none() {
                ithn_kernels::join_workers_of(process.threads());
            }
            Ok(Ranks::new(Arc::new(process)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launcher_is_known_by_its_variables() {
        let of = |name: &'static str, value: &'static str| {
            launched(move |asked| (asked == name).then(|| value.to_owned()))
        };
        assert_eq!(of("OMPI_COMM_WORLD_SIZE", "3"), Some(3));
        assert_eq!(of("SLURM_STEP_NUM_TASKS", "8"), Some(8));
        assert_eq!(of("PMI_SIZE", "many"), None);
        assert_eq!(of("HOME", "3"), None);
    }

    #[cfg(not(feature = "mpi"))]
    #[test]
    fn several_processes_without_an_engine_are_refused() {
        let error = start_engine(4).expect_err("no engine");
        assert!(error.to_string().contains("`mpi`"), "{error}");
        assert!(start_engine(1).is_ok());
    }
}
