"""The forkhead motif, and a file of it as HOMER writes them."""

# The forkhead matrix behind the labels of the course's chromosome 22, columns A C G T, to three decimals.
FORKHEAD = (
    (0.483, 0.026, 0.010, 0.481),
    (0.644, 0.067, 0.240, 0.049),
    (0.575, 0.002, 0.111, 0.313),
    (0.128, 0.001, 0.870, 0.001),
    (0.001, 0.152, 0.001, 0.846),
    (0.893, 0.105, 0.001, 0.001),
    (0.969, 0.029, 0.001, 0.001),
    (0.997, 0.001, 0.001, 0.001),
    (0.001, 0.775, 0.001, 0.223),
    (0.997, 0.001, 0.001, 0.001),
)
HOMER = ">WAAGTAAACA\tFOXA1(Forkhead)/LNCAP/Homer\t6.367201\t-50.0\t0\n" + "".join(
    "\t".join(f"{value:.3f}" for value in row) + "\n" for row in FORKHEAD
)
