#include "newsmill/worker.h"

extern const struct nm_worker related_worker;

int main(int argc, char **argv)
{
    return nm_run(&related_worker, argc, argv);
}
