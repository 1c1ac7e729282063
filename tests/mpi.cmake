# Several ranks on this machine, where there is MPI; skipped where there is no mpirun.
# Seconds are measured: alone on the machine they mean something.
set(MPI_TEST SKIP_RETURN_CODE 77 RUN_SERIAL TRUE)
if(TARGET arttomus_mpi)
    add_executable(comm_ranks mpi/comm_ranks.c)
    target_link_libraries(comm_ranks PRIVATE test_support)
    add_dependencies(comm_ranks arttomus_mpi)
    add_test(NAME mpi_comm COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/mpi/test_comm.sh
        $<TARGET_FILE:comm_ranks> ${PROJECT_SOURCE_DIR} "" ${PROJECT_BINARY_DIR}/tests/mpi_comm)
    set_tests_properties(mpi_comm PROPERTIES ${MPI_TEST})
endif()
set_tests_properties(command_train_mpi PROPERTIES ${MPI_TEST})
