# libstemmer has no pkg-config file; libm is for logarithms and roots.
set(libraries stemmer m)
