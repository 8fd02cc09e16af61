module batch

go 1.21

require sam2.invalid/sam2 v0.0.0

replace sam2.invalid/sam2 => ../../go
