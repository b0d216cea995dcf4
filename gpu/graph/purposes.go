package graph

// What device memory is counted as.
const (
	PurposeWeights     = "weights"
	PurposeKV          = "kv cache"
	PurposeActivations = "activations"
	PurposeLoading     = "loading"
	purposeStaging     = "staging" // memory of the CPU, on its way to the device
)
