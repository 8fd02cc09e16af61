// The path is a placeholder until the repository has an address that "go get" can fetch. ".invalid" never resolves
// (RFC 2606), so no other module can take its place. Use the package by a replace directive, as the examples do.
module sam2.invalid/sam2

go 1.21
