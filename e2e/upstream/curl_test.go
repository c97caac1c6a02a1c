package upstream

var curl = pkg{"curl", "curl"}
