/* test_comm.c - one rank alone, and what launchers' variables are taken to mean.
 * Several ranks: tests/mpi. */
#include "support/support.h"

#include <stdlib.h>
#include <string.h>

#include "comm/comm.h"
#include "comm/launch.h"

/* ------------------------------------------------------------------ environments */

static const char *const variables[] = {
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT",
    "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
    "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID",
    "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_NTASKS",
};

/* Exactly the assignments of `text`, "A=1 B=2". */
static void set_environment(const char *text)
{
    char copy[256], *rest = copy;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) unsetenv(variables[i]);
    strcpy(copy, text);
    for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL; ) {
        char *value = strchr(word, '=');
        *value++ = '\0';
        setenv(word, value, 1);
    }
}

static const struct {
    const char *environment, *launcher, *backend;
    int rank, size, local_rank;
} launches[] = {
    { "", NULL, NULL, 0, 1, 0 },
    { "RANK=1 WORLD_SIZE=4 LOCAL_RANK=1 MASTER_ADDR=a MASTER_PORT=1",
      "RANK and WORLD_SIZE", "nccl", 1, 4, 1 },
    { "RANK=0 WORLD_SIZE=1", "RANK and WORLD_SIZE", "nccl", 0, 1, 0 },
    { "OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_LOCAL_RANK=1",
      "mpirun", "mpi", 2, 3, 1 },
    { "PMI_RANK=1 PMI_SIZE=2 MPI_LOCALRANKID=1", "mpiexec", "mpi", 1, 2, 1 },
    { "SLURM_PROCID=5 SLURM_STEP_NUM_TASKS=8 SLURM_LOCALID=1", "srun", "mpi", 5, 8, 1 },
    /* the batch script itself is one process */
    { "SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_LOCALID=0", NULL, NULL, 0, 1, 0 },
    /* mpirun inside a Slurm job */
    { "SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2 OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_SIZE=4",
      "mpirun", "mpi", 3, 4, 0 },
    /* two that agree */
    { "RANK=1 WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2", "mpirun", "mpi", 1, 2, 0 },
};

static void test_launches(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof launches / sizeof *launches; i++) {
        atm_launch got;
        set_environment(launches[i].environment);
        assert_int_equal(atm_launch_detect(&got), ATM_OK);
        assert_int_equal(got.rank, launches[i].rank);
        assert_int_equal(got.size, launches[i].size);
        assert_int_equal(got.local_rank, launches[i].local_rank);
        assert_int_equal(!got.launcher, !launches[i].launcher);
        if (!got.launcher) continue;
        assert_string_equal(got.launcher, launches[i].launcher);
        assert_string_equal(got.backend, launches[i].backend);
    }
}

static const struct { const char *environment, *says; } contradictions[] = {
    { "RANK=1", "RANK is set and WORLD_SIZE is not" },
    { "WORLD_SIZE=2", "WORLD_SIZE is set and RANK is not" },
    { "RANK=0 WORLD_SIZE=2", "LOCAL_RANK is not" },
    { "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0", "MASTER_ADDR is not" },
    { "RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=a", "MASTER_PORT is not" },
    { "OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE is not" },
    { "PMI_SIZE=2", "PMI_RANK is not" },
    { "SLURM_STEP_NUM_TASKS=2", "SLURM_PROCID is not" },
    { "RANK=2 WORLD_SIZE=2", "RANK=2 must be below WORLD_SIZE=2" },
    { "RANK=-1 WORLD_SIZE=2", "RANK=-1 must be a whole number" },
    { "RANK=0 WORLD_SIZE=0", "WORLD_SIZE=0 must be a whole number from 1" },
    { "RANK=0 WORLD_SIZE=two", "WORLD_SIZE=two must be" },
    { "RANK=0 WORLD_SIZE=99999999999", "WORLD_SIZE=99999999999 must be" },
    { "RANK=0 WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=4", "mpirun says rank 0 of 4" },
};

static void test_contradictions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof contradictions / sizeof *contradictions; i++) {
        atm_launch launch;
        set_environment(contradictions[i].environment);
        assert_int_equal(atm_launch_detect(&launch), ATM_E_CONFIG);
        if (!strstr(atm_error(), contradictions[i].says)) fail_msg("'%s'", atm_error());
    }
}

/* ------------------------------------------------------------------ one rank */

static void check_alone(atm_comm *comm)
{
    float x[3] = { 1, 2, 3 }, y[3] = { 0 };
    assert_int_equal(atm_comm_rank(comm), 0);
    assert_int_equal(atm_comm_size(comm), 1);
    assert_int_equal(atm_comm_local_rank(comm), 0);
    assert_int_equal(atm_comm_sum(comm, x, 3), ATM_OK);
    assert_int_equal(atm_comm_broadcast(comm, x, sizeof x, 0), ATM_OK);
    assert_int_equal(atm_comm_gather(comm, x, sizeof x, y), ATM_OK);
    assert_int_equal(atm_comm_gather(comm, NULL, 0, NULL), ATM_OK);
    assert_int_equal(atm_comm_barrier(comm), ATM_OK);
    assert_int_equal(atm_comm_agree(comm, x, sizeof x, "x"), ATM_OK);
    assert_memory_equal(y, ((float[]){ 1, 2, 3 }), sizeof y);
    atm_comm_abort(comm, ATM_E_IO);
    atm_comm_close(comm);
}

static void test_alone(void **state)
{
    (void)state;
    atm_comm *comm = NULL;
    check_alone(NULL);
    set_environment("");
    assert_int_equal(atm_comm_open("auto", NULL, &comm), ATM_OK);
    check_alone(comm);
    set_environment("OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2");
    assert_int_equal(atm_comm_open("self", NULL, &comm), ATM_OK);
    check_alone(comm);
    assert_int_equal(atm_comm_open("auto", &(atm_comm_options){ .no_env_detect = true }, &comm), ATM_OK);
    check_alone(comm);
}

static void test_refusals(void **state)
{
    (void)state;
    atm_comm *comm;
    set_environment("");
    assert_int_equal(atm_comm_open("gloo", NULL, &comm), ATM_E_USAGE);
    assert_non_null(strstr(atm_error(), "'gloo'"));
    set_environment("RANK=1");
    assert_int_equal(atm_comm_open("auto", NULL, &comm), ATM_E_CONFIG);
    const char *text;
    if (atm_comm_probe("nccl", &text) == ATM_OK) return;
    set_environment("RANK=1 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=a MASTER_PORT=1");
    assert_int_equal(atm_comm_open("auto", NULL, &comm), ATM_E_DEVICE);
    assert_non_null(strstr(atm_error(), "use mpirun"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_launches), cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_alone), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
