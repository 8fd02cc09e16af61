module usage

go 1.21

require sam2 v0.0.0

replace sam2 => ../../go
