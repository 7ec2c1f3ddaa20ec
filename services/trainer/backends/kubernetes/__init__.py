"""The `kubernetes` executor: a Job of the cluster for each training job."""
