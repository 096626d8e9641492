#include "newsmill/worker.h"

extern const struct nm_worker heat_worker;

int main(int argc, char **argv)
{
    return nm_run(&heat_worker, argc, argv);
}
