module tandem.internal/driver

go 1.25

require tandem.internal/client v0.0.0

replace tandem.internal/client => ../client
