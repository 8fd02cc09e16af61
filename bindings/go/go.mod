module sam2

go 1.21
