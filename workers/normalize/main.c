#include "newsmill/worker.h"

extern const struct nm_worker normalize_worker;

int main(int argc, char **argv)
{
    return nm_run(&normalize_worker, argc, argv);
}
