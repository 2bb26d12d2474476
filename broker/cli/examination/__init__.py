"""What `weighbridge doctor` looks at: the machine, the cluster, the clouds, what runs here."""
