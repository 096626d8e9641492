#include "newsmill/worker.h"

extern const struct nm_worker publish_worker;

int main(int argc, char **argv)
{
    return nm_run(&publish_worker, argc, argv);
}
